"""Scores against cases worked out by hand, and what must hold for any label map."""

from __future__ import annotations

from dataclasses import astuple
from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from repsam_ros.errors import DatasetError
from repsam_ros.metrics.labels import (
    boundary_map,
    boundary_radius_px,
    prompted_miou,
    score_labels,
)

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


@st.composite
def boxes(draw: st.DrawFn) -> np.ndarray:
    """Up to four boxes on a 24x32 image, later ones in front."""
    labels = np.zeros((24, 32), np.uint16)
    for k in range(draw(st.integers(0, 4))):
        y, x = draw(st.integers(0, 18)), draw(st.integers(0, 26))
        labels[y : y + draw(st.integers(2, 14)), x : x + draw(st.integers(2, 14))] = k + 1
    return labels


def has_one_best_matching(predicted: np.ndarray, truth: np.ndarray) -> bool:
    """Whether no two matchings share the largest sum of F."""
    smaller, larger = sorted((truth, predicted), key=lambda labels: len(np.unique(labels)))
    some, others = ([k for k in np.unique(labels) if k] for labels in (smaller, larger))

    def f(k: int, j: int) -> float:
        common = np.count_nonzero((smaller == k) & (larger == j))
        return 2 * common / (np.count_nonzero(smaller == k) + np.count_nonzero(larger == j))

    sums = sorted(
        sum(f(k, j) for k, j in zip(some, chosen, strict=True))
        for chosen in permutations(others, len(some))
    )
    return len(sums) < 2 or sums[-1] - sums[-2] > 1e-9


@settings(max_examples=60, deadline=None)
@given(boxes(), boxes())
def test_swapping_sides_swaps_precision_and_recall(
    predicted: np.ndarray, truth: np.ndarray
) -> None:
    assume(has_one_best_matching(predicted, truth))
    there, back = score_labels(predicted, truth), score_labels(truth, predicted)
    for kind in ("overlap", "boundary"):
        for name, swapped in (("p", "r"), ("r", "p"), ("f", "f")):
            value = getattr(there, f"{kind}_{name}")
            assert value == pytest.approx(getattr(back, f"{kind}_{swapped}"))
    assert there.pooled_miou == pytest.approx(back.pooled_miou)
    # These two are per true object, so only the sums over objects agree.
    if there.true and there.predicted:
        assert there.pct75 * there.true == pytest.approx(back.pct75 * back.true)
        assert there.strict_miou * there.true == pytest.approx(back.strict_miou * back.true)


def test_shares_of_true_objects_change_when_sides_swap() -> None:
    truth, predicted = blocks(0, 8, 8), blocks(0, 8, 0)
    there, back = score_labels(predicted, truth), score_labels(truth, predicted)
    assert (there.pct75, back.pct75) == (0.5, 1)
    assert (there.strict_miou, back.strict_miou) == (0.5, 1)


def test_worse_predictions_score_worse() -> None:
    truth = blocks(5, 20)
    columns = np.arange(40)
    shrinking = [score_labels(truth * (columns < 25 - k), truth) for k in range(20)]
    for name in ("overlap_r", "overlap_f", "strict_miou", "pooled_miou"):
        values = [getattr(scores, name) for scores in shrinking]
        assert values == sorted(values, reverse=True), name
        assert values[-1] < values[0]
    assert {scores.overlap_p for scores in shrinking} == {1}


@settings(max_examples=40, deadline=None)
@given(boxes(), st.integers(0, 20), st.integers(0, 28))
def test_a_false_positive_never_helps_overlap(truth: np.ndarray, y: int, x: int) -> None:
    region = np.zeros(truth.shape, bool)
    region[y : y + 4, x : x + 4] = True
    predicted = np.where(region & (truth == 0), 9, truth)
    scores = score_labels(predicted, truth)
    if truth.any():
        assert scores.overlap_r == 1
    assert scores.overlap_p == (
        1
        if np.array_equal(predicted, truth)
        else pytest.approx(np.count_nonzero(truth) / np.count_nonzero(predicted))
    )


@settings(max_examples=40, deadline=None)
@given(boxes(), st.integers(1, 4))
def test_finding_one_more_object_raises_recall(truth: np.ndarray, last: int) -> None:
    assume(np.any(truth == last))
    without, all_found = score_labels(truth * (truth != last), truth), score_labels(truth, truth)
    share = np.count_nonzero(truth == last) / np.count_nonzero(truth)
    assert all_found.overlap_r - without.overlap_r == pytest.approx(share)
    assert without.pct75 == without.strict_miou == pytest.approx(1 - 1 / without.true)


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


def test_prompted_miou_by_hand() -> None:
    truth = blocks(5, 10, 10)
    # One mask exact, one half; what the first also covers of the second does not matter.
    halves = {1: truth == 1, 2: (truth == 2) & (np.arange(40) < 20)}
    assert prompted_miou(halves, truth) == pytest.approx((1 + 0.5) / 2)
    assert prompted_miou({1: truth > 0, 2: truth > 0}, truth) == pytest.approx(0.5)
    # An object without an answer counts as missed; a mask of nothing else is asked about.
    assert prompted_miou({1: truth == 1, 7: truth == 0}, truth) == 0.5
    # Strict mIoU would search: here the masks are exchanged.
    assert prompted_miou({1: truth == 2, 2: truth == 1}, truth) == 0


def test_prompted_miou_leaves_ignored_pixels_out() -> None:
    truth = blocks(5, 10, 10)
    spilling = {1: (truth == 1) | (truth == 0), 2: truth == 2}
    assert prompted_miou(spilling, truth, ignore=truth == 0) == 1
    assert prompted_miou({1: truth == 1}, truth, ignore=truth == 2) == 1
    assert prompted_miou({1: truth == 1}, truth, ignore=truth > 0) is None
    with pytest.raises(DatasetError, match="object 1"):
        prompted_miou({1: np.ones((3, 3), bool)}, truth)


@settings(max_examples=40, deadline=None)
@given(boxes(), boxes(), st.permutations(range(1, 5)))
def test_prompted_miou_of_any_ids(predicted: np.ndarray, truth: np.ndarray, new: list[int]) -> None:
    masks = {k: predicted == k for k in range(1, 5)}
    renamed = {new[k - 1]: mask for k, mask in masks.items()}
    value = prompted_miou(masks, truth)
    again = prompted_miou(renamed, np.array([0, *new])[truth])
    assert (value is None) == (not truth.any())
    if value is not None:
        assert again == pytest.approx(value) and 0 <= value <= 1
        # A matching can only choose better than the given pairs.
        assert value <= score_labels(predicted, truth).strict_miou + 1e-9
        assert prompted_miou({k: truth == k for k in range(1, 5)}, truth) == 1
