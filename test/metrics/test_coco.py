"""COCO AP and AR of cases that can be counted by hand."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from repsam_ros.errors import BackendError, DatasetError
from repsam_ros.metrics.coco import COCO_NAMES, CocoScorer

pytest.importorskip("pycocotools")

LABELS = hnp.arrays(np.uint16, (6, 8), elements=st.integers(0, 4))
NOTHING_IGNORED = np.zeros((20, 40), bool)


def blocks(*columns: int) -> np.ndarray:
    """Vertical blocks on a 20x40 image: ``columns[k]`` pixels of id ``k``."""
    row = np.repeat(np.arange(len(columns)), columns)
    return np.tile(np.pad(row, (0, 40 - len(row))), (20, 1)).astype(np.uint16)


def score(*images: tuple[np.ndarray, dict[int, float], np.ndarray, np.ndarray]) -> dict:
    scorer = CocoScorer()
    for image in images:
        scorer.add(*image)
    return scorer.summarize()


def test_perfect_prediction_under_other_ids() -> None:
    truth = blocks(3, 10, 10, 10)
    result = score((truth * 100, {100: 0.2, 200: 0.9, 300: 0.5}, truth, NOTHING_IGNORED))
    assert result == pytest.approx(
        {"ap": 1, "ap50": 1, "ap75": 1, "ar1": 1 / 3, "ar10": 1, "ar100": 1}
    )


def test_iou_decides_at_which_thresholds_a_mask_is_right() -> None:
    # IoU 8 / 10: right at 0.5 ... 0.8, 7 of 10 thresholds.
    truth, predicted = blocks(0, 10), blocks(0, 8)
    result = score((predicted, {1: 0.9}, truth, NOTHING_IGNORED))
    assert result == pytest.approx(
        {"ap": 0.7, "ap50": 1, "ap75": 1, "ar1": 0.7, "ar10": 0.7, "ar100": 0.7}
    )


def test_scores_rank_over_the_whole_data_set() -> None:
    truth = blocks(0, 10)
    wrong = blocks(30, 0, 10)
    right = (truth, {1: 0.5}, truth, NOTHING_IGNORED)
    # A false positive in an image without objects that is surer than the only hit: precision 1/2.
    nothing = np.zeros_like(truth)
    sure = score(right, (wrong, {2: 0.9}, nothing, NOTHING_IGNORED))
    assert (sure["ap"], sure["ar1"]) == (pytest.approx(0.5), 1)
    # One that is less sure comes after full recall and costs nothing.
    assert score(right, (wrong, {2: 0.1}, nothing, NOTHING_IGNORED))["ap"] == pytest.approx(1)


def test_missed_object_limits_recall() -> None:
    truth = blocks(0, 10, 10)
    result = score((blocks(0, 10), {1: 0.9}, truth, NOTHING_IGNORED))
    # 51 of COCO's 101 recall steps lie at or below one half.
    assert result["ap50"] == pytest.approx(51 / 101)
    assert result["ar100"] == pytest.approx(0.5)


def test_ignored_pixels_are_taken_off_both_sides() -> None:
    truth = blocks(0, 10)
    predicted = blocks(0, 20)
    ignore = np.broadcast_to(np.arange(40) >= 10, truth.shape)
    assert score((predicted, {1: 0.9}, truth, ignore))["ap"] == pytest.approx(1)


@pytest.mark.parametrize(("ignored_columns", "ap"), [(0, 0.5), (5, 0.5), (6, 1), (10, 1)])
def test_prediction_mostly_on_ignored_pixels_is_no_mistake(ignored_columns: int, ap: float) -> None:
    truth = blocks(0, 10)
    predicted = blocks(0, 10, 0, 0) + 2 * np.roll(blocks(0, 10), 20, axis=1)
    ignore = np.zeros(truth.shape, bool)
    ignore[:, 20 : 20 + ignored_columns] = True
    result = score((predicted, {1: 0.5, 2: 0.9}, truth, ignore))
    assert result["ap"] == pytest.approx(ap)


def test_prediction_mostly_on_ignored_pixels_still_finds_what_is_left() -> None:
    truth = blocks(0, 4)
    ignore = np.broadcast_to(np.arange(40) >= 4, truth.shape)
    result = score((blocks(0, 12), {1: 0.9}, truth, ignore))
    assert (result["ap"], result["ar1"]) == pytest.approx((1, 1))


def test_without_objects_there_is_no_ap() -> None:
    nothing = np.zeros((20, 40), np.uint16)
    empty = dict.fromkeys(COCO_NAMES)
    assert score() == empty
    assert score((nothing, {}, nothing, NOTHING_IGNORED)) == empty
    assert score((blocks(0, 9), {1: 1.0}, nothing, NOTHING_IGNORED)) == empty
    truth = blocks(0, 9)
    assert score((nothing, {}, truth, NOTHING_IGNORED)) == dict.fromkeys(COCO_NAMES, 0)


def test_scores_without_pixels_do_not_count_and_pixels_without_score_are_refused() -> None:
    truth = blocks(0, 10)
    assert score((truth, {1: 0.5, 2: 0.9}, truth, NOTHING_IGNORED))["ap"] == pytest.approx(1)
    with pytest.raises(DatasetError, match="instance 1 has no score"):
        score((truth, {2: 0.5}, truth, NOTHING_IGNORED))
    with pytest.raises(DatasetError, match="differ in size"):
        score((truth, {1: 0.5}, truth, np.zeros((3, 3), bool)))


def test_summary_can_be_repeated_and_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    truth = blocks(0, 10, 10)
    scorer = CocoScorer()
    scorer.add(blocks(0, 9, 11), {1: 0.5, 2: 0.5}, truth, NOTHING_IGNORED)
    assert scorer.summarize() == scorer.summarize()
    assert capsys.readouterr() == ("", "")


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(BackendError, match=r"pip install 'repsam_ros\[evaluation\]'"):
        CocoScorer()


@settings(max_examples=40, deadline=None)
@given(
    LABELS,
    LABELS,
    hnp.arrays(np.bool_, (6, 8)),
    st.lists(st.sampled_from([0.2, 0.5, 0.9]), min_size=4, max_size=4),
    st.permutations(range(1, 5)),
)
def test_ids_do_not_matter_even_where_scores_are_equal(
    predicted: np.ndarray,
    truth: np.ndarray,
    ignore: np.ndarray,
    confidence: list[float],
    new: list[int],
) -> None:
    scores = dict(enumerate(confidence, start=1))
    renamed = {new[k - 1]: value for k, value in scores.items()}
    table = np.array([0, *new])
    result = score((predicted, scores, truth, ignore))
    assert score((table[predicted], renamed, table[truth], ignore)) == result
    values = [value for value in result.values() if value is not None]
    assert all(0 <= value <= 1 for value in values)
    assert len(values) == (6 if np.any(truth[~ignore]) else 0)
