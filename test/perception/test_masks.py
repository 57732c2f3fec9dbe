"""Choosing masks: suppression, stability and a label map without overlaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit

from repsam_ros.errors import ConfigError
from repsam_ros.perception.masks import (
    MaskSettings,
    label_map,
    mask_thresholds,
    stability,
    suppress,
)


def square(top: int, left: int, side: int, size: int = 40) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def stays(masks: list[np.ndarray], scores: list[float], **values: float) -> list[int]:
    """Of masks whose logits are steep: 9 inside, -9 outside, or given as logits."""
    logits = [np.where(m, 9, -9) if m.dtype == bool else m for m in masks]
    thresholds = np.full((len(masks), 1, 1), -2, np.float32)
    settings = MaskSettings(**values)  # type: ignore[arg-type]
    found: list[int] = suppress(
        np.stack(logits).astype(np.float32), thresholds, np.array(scores, np.float32), settings
    ).tolist()
    return found


def test_of_two_equal_masks_the_better_stays() -> None:
    masks = [square(5, 5, 10), square(5, 6, 10), square(25, 25, 8)]
    assert stays(masks, [0.7, 0.9, 0.8]) == [1, 2]


def test_a_part_inside_a_whole_is_suppressed() -> None:
    assert stays([square(5, 5, 20), square(6, 6, 6)], [0.9, 0.8]) == [0]


def test_weak_and_empty_masks_are_left_out() -> None:
    assert stays([square(0, 0, 10), np.zeros((40, 40), bool)], [0.3, 0.9], min_score=0.5) == []


def test_a_mask_that_reaches_into_its_neighbour_does_not_suppress_it() -> None:
    box = square(5, 5, 20)
    # Sure of the box, and not quite sure that the smaller one beside it is another.
    both = np.where(square(5, 25, 8), -1.5, np.where(box, 9, -9)).astype(np.float32)
    beside = square(5, 25, 8)
    assert stays([both, beside], [0.9, 0.8]) == [0, 1]
    assert stays([both, beside], [0.9, 0.8], nms_threshold=-2.0) == [0]


def test_a_faint_mask_stays_and_is_compared_as_it_is() -> None:
    faint = np.where(square(5, 5, 20), -1.5, -9).astype(np.float32)
    assert stays([faint, faint, square(30, 30, 8)], [0.9, 0.8, 0.7]) == [0, 2]


def test_stability_is_one_for_steep_and_low_for_flat_masks() -> None:
    steep = np.where(square(5, 5, 10), 9.0, -9.0).astype(np.float32)
    flat = np.where(square(5, 5, 10), 0.2, -0.2).astype(np.float32)
    assert stability(np.stack([steep, flat]), 1.0).tolist() == [1.0, 0.0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 6), st.integers(0, 10_000))
def test_label_map_is_consecutive_and_follows_the_strongest(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.random((count, 30, 40), dtype=np.float32)
    scores = rng.uniform(0.5, 1, count).astype(np.float32)
    everywhere = (slice(0, 30), slice(0, 40))
    parts = ((logits, everywhere) for logits in logit(probabilities))
    labels, stays = label_map(parts, scores, (30, 40), min_area_px=20)
    assert labels.shape == (30, 40)
    ids = np.unique(labels[labels > 0])
    assert ids.tolist() == list(range(1, len(stays) + 1))
    if count:
        best = (probabilities * scores[:, None, None] * (probabilities > 0.5)).max(axis=0)
        for new, old in enumerate(stays, start=1):
            mine = labels == new
            assert mine.sum() >= 20
            assert np.allclose(probabilities[old][mine] * scores[old], best[mine])
            assert np.all(probabilities[old][mine] > 0.5)


def test_an_instance_without_pixels_is_none() -> None:
    part = (np.ones((4, 4), np.float32), (slice(0, 4), slice(0, 4)))
    labels, stays = label_map([part, part], np.array([0.9, 0.8], np.float32), (8, 8), min_area_px=0)
    assert stays.tolist() == [0] and labels.max() == 1


def test_parts_of_masks_lie_where_they_are_said_to() -> None:
    left = (np.ones((4, 5), np.float32), (slice(2, 6), slice(3, 8)))
    right = (np.full((3, 3), 2, np.float32), (slice(4, 7), slice(6, 9)))
    nothing = (np.zeros((0, 0), np.float32), (slice(0, 0), slice(0, 0)))
    scores = np.ones(3, np.float32)
    labels, stays = label_map([left, nothing, right], scores, (10, 12), min_area_px=1)
    expected = np.zeros((10, 12), np.uint16)
    expected[2:6, 3:8] = 1
    expected[4:7, 6:9] = 2  # surer where both are
    assert stays.tolist() == [0, 2] and np.array_equal(labels, expected)


def test_shares_outside_zero_to_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="nms_iou"):
        MaskSettings(nms_iou=1.5)


def test_masks_with_depth_reach_further_than_masks_on_glass():
    depth_m = np.zeros((10, 10), np.float32)
    depth_m[:, :6] = 1.0
    logits = np.full((4, 10, 10), -1.0, np.float32)
    logits[0, :, :6] = 1  # all of it measured
    logits[1, :, 6:] = 1  # nothing
    logits[2] = 1  # 60 %: half way between 30 and 90
    settings = MaskSettings(mask_threshold=-2.0, mask_threshold_without_depth=0.5)

    thresholds = mask_thresholds(logits, depth_m, settings)

    # The last mask has no pixel that could be measured.
    assert thresholds.shape == (4, 1, 1)
    np.testing.assert_allclose(thresholds.ravel(), [-2.0, 0.5, -0.75, 0.5], atol=1e-6)


def test_missing_depth_says_nothing_of_glass_where_the_surroundings_lack_it_too() -> None:
    settings = MaskSettings(mask_threshold=-2.0, mask_threshold_without_depth=0.5)
    logits = np.where(square(5, 5, 10), 1, -1)[None].astype(np.float32)

    def threshold(share: float) -> float:
        """Of a mask without depth, where this share of what is around it has some."""
        depth_m = np.zeros((40, 40), np.float32)
        depth_m[:, : round(40 * share)] = 1
        depth_m[square(5, 5, 10)] = 0
        return float(mask_thresholds(logits, depth_m, settings)[0, 0, 0])

    assert threshold(0.0) == threshold(0.2) == -2.0
    assert threshold(1.0) == threshold(0.7) == 0.5
    assert -2.0 < threshold(0.4) < threshold(0.45) < 0.5
