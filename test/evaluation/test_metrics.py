"""Scores against cases worked out by hand, and what must hold for any label map."""

from __future__ import annotations

from dataclasses import astuple
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from repsam_ros.errors import DatasetError
from repsam_ros.evaluation.metrics import boundary_map, boundary_radius_px, score_labels

LABELS = hnp.arrays(np.uint16, (12, 16), elements=st.integers(0, 4))
MASKS = hnp.arrays(np.bool_, (12, 16))


def blocks(*columns: int, width: int = 40, height: int = 10) -> np.ndarray:
    """Vertical blocks: ``columns[k]`` pixels of id ``k``."""
    row = np.repeat(np.arange(len(columns)), columns)
    return np.tile(np.pad(row, (0, width - len(row))), (height, 1)).astype(np.uint16)


def test_perfect_prediction_scores_one_under_other_ids() -> None:
    truth = blocks(5, 10, 10)
    other_ids = np.select([truth == 1, truth == 2], [700, 3], 0)
    scores = score_labels(other_ids, truth)
    assert astuple(scores) == (1.0,) * 9 + (2, 2)


def test_shifted_block_by_hand() -> None:
    truth = blocks(10, 10)
    predicted = blocks(15, 10)
    scores = score_labels(predicted, truth)
    assert scores.overlap_p == scores.overlap_r == scores.overlap_f == 0.5
    assert scores.strict_miou == scores.pooled_miou == pytest.approx(50 / 150)
    assert scores.pct75 == 0
    # Edges 5 px apart, radius 1 px: no boundary pixel is matched.
    assert boundary_radius_px(truth.shape) == 1
    assert scores.boundary_f == 0


def test_boundary_tolerance_by_hand() -> None:
    truth, near = blocks(10, 10), blocks(11, 10)
    assert score_labels(near, truth).boundary_f == 1
    # One edge in place, the other 2 px off: half of each boundary matches.
    wider = blocks(10, 12)
    scores = score_labels(wider, truth)
    assert (scores.boundary_p, scores.boundary_r) == (0.5, 0.5)


def test_precision_counts_all_prediction_and_recall_all_truth() -> None:
    truth = blocks(5, 10, 10)
    predicted = np.where(truth == 1, 1, 0)
    predicted[:, 30:35] = 9
    scores = score_labels(predicted, truth)
    assert scores.overlap_p == pytest.approx(100 / 150)
    assert scores.overlap_r == pytest.approx(100 / 200)
    assert scores.pct75 == 0.5
    assert scores.strict_miou == 0.5
    # The second pair has no common pixel but is matched all the same.
    assert scores.pooled_miou == pytest.approx(100 / (100 + 150))
    assert (scores.predicted, scores.true) == (2, 2)


def test_split_object_keeps_only_its_larger_piece() -> None:
    truth = blocks(5, 20)
    predicted = np.where(truth, np.where(np.arange(40) < 17, 1, 2), 0)
    scores = score_labels(predicted, truth)
    assert scores.overlap_p == scores.overlap_r == pytest.approx(12 / 20)
    assert scores.strict_miou == pytest.approx(12 / 20)
    assert scores.pct75 == 0


def test_matching_is_optimal_not_greedy() -> None:
    # True 1 overlaps a by 60 and b by 50, true 2 overlaps a by 50 and b by none: the best pair
    # is (1, a), the best sum is (1, b) + (2, a).
    truth = blocks(0, 11, 9, width=20)
    predicted = np.zeros_like(truth)
    predicted[:, 5:16] = 1
    predicted[:, 0:5] = 2
    scores = score_labels(predicted, truth)
    assert scores.overlap_p == pytest.approx((50 + 50) / 160)


def test_pct75_is_strictly_over_the_threshold() -> None:
    truth = blocks(0, 8, width=20)
    predicted = blocks(2, 8, width=20)
    assert score_labels(predicted, truth).overlap_f == 0.75
    assert score_labels(predicted, truth).pct75 == 0
    assert score_labels(blocks(1, 8, width=20), truth).pct75 == 1


@pytest.mark.parametrize(
    ("has_prediction", "has_truth", "precision", "recall", "rest"),
    [(False, True, 1, 0, 0), (True, False, 0, 1, 0), (False, False, 1, 1, 1)],
)
def test_empty_maps(
    has_prediction: bool, has_truth: bool, precision: int, recall: int, rest: int
) -> None:
    block = blocks(5, 10)
    scores = score_labels(block * has_prediction, block * has_truth)
    assert (scores.overlap_p, scores.overlap_r, scores.overlap_f) == (precision, recall, rest)
    assert (scores.boundary_p, scores.boundary_r, scores.boundary_f) == (precision, recall, rest)
    assert (scores.pct75, scores.strict_miou, scores.pooled_miou) == (rest, rest, rest)


def test_prediction_on_ignored_pixels_alone_is_no_prediction() -> None:
    truth = blocks(5, 10)
    predicted = blocks(20, 10)
    scores = score_labels(predicted, truth, ignore=predicted > 0)
    assert (scores.overlap_p, scores.overlap_r, scores.predicted) == (1, 0, 0)


def test_object_over_the_whole_image_has_no_boundary_to_miss() -> None:
    full = np.ones((6, 8), np.uint16)
    assert score_labels(full, full).boundary_f == 1


def test_boundary_lies_towards_the_origin_and_not_at_the_image_edge() -> None:
    mask = np.zeros((5, 5), np.uint8)
    mask[2:, 2:] = 1
    expected = np.zeros((5, 5), np.uint8)
    expected[1, 1:] = 1
    expected[1:, 1] = 1
    np.testing.assert_array_equal(boundary_map(mask), expected)


@pytest.mark.parametrize(("shape", "radius"), [((480, 640), 3), ((720, 1280), 5), ((240, 320), 2)])
def test_boundary_radius(shape: tuple[int, int], radius: int) -> None:
    assert boundary_radius_px(shape) == radius


def test_maps_of_another_size_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"\(10, 40\).*\(10, 30\)"):
        score_labels(blocks(5, width=30), blocks(5))
    with pytest.raises(DatasetError, match="ignored"):
        score_labels(blocks(5), blocks(5), np.zeros((3, 3), bool))


@settings(max_examples=60, deadline=None)
@given(LABELS, LABELS, MASKS, st.permutations(range(1, 5)), st.permutations(range(1, 5)))
def test_ids_do_not_matter(
    predicted: np.ndarray,
    truth: np.ndarray,
    ignore: np.ndarray,
    new_predicted: list[int],
    new_truth: list[int],
) -> None:
    renamed = score_labels(
        np.array([0, *new_predicted])[predicted] * 11, np.array([0, *new_truth])[truth], ignore
    )
    assert astuple(renamed) == astuple(score_labels(predicted, truth, ignore))


@settings(max_examples=60, deadline=None)
@given(LABELS, LABELS, LABELS, LABELS, MASKS)
def test_ignored_pixels_do_not_matter(
    predicted: np.ndarray,
    truth: np.ndarray,
    other_predicted: np.ndarray,
    other_truth: np.ndarray,
    ignore: np.ndarray,
) -> None:
    changed = score_labels(
        np.where(ignore, other_predicted, predicted), np.where(ignore, other_truth, truth), ignore
    )
    assert astuple(changed) == astuple(score_labels(predicted, truth, ignore))


@settings(max_examples=60, deadline=None)
@given(LABELS, LABELS)
def test_scores_are_fractions_and_perfect_is_one(predicted: np.ndarray, truth: np.ndarray) -> None:
    scores = score_labels(predicted, truth)
    values = np.array(astuple(scores)[:9])
    assert np.all((values >= 0) & (values <= 1))
    assert astuple(score_labels(truth, truth))[:9] == (1.0,) * 9


@settings(max_examples=40, deadline=None)
@given(LABELS, LABELS)
def test_swapping_sides_swaps_precision_and_recall(
    predicted: np.ndarray, truth: np.ndarray
) -> None:
    there, back = score_labels(predicted, truth), score_labels(truth, predicted)
    assert there.overlap_p == pytest.approx(back.overlap_r)
    assert there.overlap_f == pytest.approx(back.overlap_f)


@settings(max_examples=40, deadline=None)
@given(LABELS, LABELS)
def test_strict_miou_is_the_best_of_all_assignments(
    predicted: np.ndarray, truth: np.ndarray
) -> None:
    true_ids, found_ids = ([k for k in np.unique(labels) if k] for labels in (truth, predicted))
    slots = [*found_ids, *[-1] * len(true_ids)]

    def iou(k: int, j: int) -> float:
        union = np.count_nonzero((truth == k) | (predicted == j))
        return np.count_nonzero((truth == k) & (predicted == j)) / union

    table = {(k, j): iou(k, j) for k in true_ids for j in {*slots}}
    sums = (
        sum(table[pair] for pair in zip(true_ids, chosen, strict=True))
        for chosen in permutations(slots, len(true_ids))
    )
    expected = max(sums) / len(true_ids) if true_ids else float(not found_ids)
    assert score_labels(predicted, truth).strict_miou == pytest.approx(expected)
