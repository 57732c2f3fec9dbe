from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repsam_ros.perception.cloud_outlines import follow_depth
from repsam_ros.structures import Intrinsics

CAMERA = Intrinsics(fx=525.0, fy=525.0, cx=79.5, cy=59.5, width=160, height=120)
REACH_PX, JUMP_M = 6, 0.01
TABLE_M, NEAR_M, NEARER_M = 0.80, 0.72, 0.66


def followed(labels: np.ndarray, depth_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return follow_depth(labels, depth_m, CAMERA, REACH_PX, JUMP_M)


def empty() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((120, 160), np.uint16), np.full((120, 160), TABLE_M, np.float32)


def measured_box() -> tuple[np.ndarray, np.ndarray]:
    """Labels and depth of a box in front of a wall; both end at the same pixels."""
    labels, depth_m = empty()
    labels[40:80, 50:100], depth_m[40:80, 50:100] = 1, NEAR_M
    return labels, depth_m


@pytest.mark.parametrize("off_px", [-4, -2, -1, 1, 3, 5])
def test_a_mask_that_is_off_gets_the_outline_of_depth(off_px: int) -> None:
    truth, depth_m = measured_box()
    labels = np.zeros_like(truth)
    labels[40 - off_px : 80 + off_px, 50 - off_px : 100 + off_px] = 1
    result, kept_m = followed(labels, depth_m)
    assert (labels != truth).sum() > 150
    # What a mask covers beyond the object is taken off by the clouds' rule on jumps.
    assert np.array_equal(result[truth > 0], truth[truth > 0])
    if off_px < 0:
        assert np.array_equal(result, truth)
    assert np.array_equal(kept_m, depth_m)


def test_a_gap_beside_the_object_does_not_keep_its_rim_in_the_surroundings() -> None:
    truth, depth_m = measured_box()
    depth_m[30:90, 100:112] = 0
    labels = truth.copy()
    labels[:, 97:] = 0
    result, _ = followed(labels, depth_m)
    assert np.array_equal(result, truth)


def test_an_object_in_front_gets_its_rim_back_from_the_one_behind() -> None:
    truth, depth_m = measured_box()
    truth[40:80, 100:140], depth_m[40:80, 100:140] = 2, NEARER_M
    labels = truth.copy()
    labels[40:80, 100:103] = 1
    result, _ = followed(labels, depth_m)
    assert np.array_equal(result, truth)


def test_where_depth_does_not_jump_outlines_stay() -> None:
    labels, depth_m = empty()
    labels[40:80, 50:100] = 1
    rows = np.arange(120, dtype=np.float32)[:, None]
    slanted_m = depth_m + 0.002 * rows
    for surface_m in (depth_m, slanted_m):
        result, kept_m = followed(labels, surface_m)
        assert np.array_equal(result, labels)
        assert np.array_equal(kept_m, surface_m)


def test_pixels_that_fly_beside_a_mask_are_neither_surface_nor_free() -> None:
    labels, depth_m = measured_box()
    depth_m[45:75, 100:102] = (TABLE_M + NEAR_M) / 2
    result, kept_m = followed(labels, depth_m)
    assert np.array_equal(result, labels)
    assert not kept_m[45:75, 100:102].any()
    kept_m[45:75, 100:102] = depth_m[45:75, 100:102]
    assert np.array_equal(kept_m, depth_m)


def test_a_thin_object_keeps_its_pixels_beside_a_big_one_of_like_depth() -> None:
    labels, depth_m = measured_box()
    labels[40:80, 100:106], depth_m[40:80, 100:106] = 2, NEAR_M + 0.004
    labels[20:100, 30:36], depth_m[20:100, 30:36] = 3, NEAR_M
    result, _ = followed(labels, depth_m)
    assert np.array_equal(result, labels)


def test_what_stands_apart_from_all_masks_stays() -> None:
    labels, depth_m = measured_box()
    depth_m[60, 120:150] = NEARER_M
    result, kept_m = followed(labels, depth_m)
    assert np.array_equal(result, labels)
    assert np.array_equal(kept_m, depth_m)


@given(seed=st.integers(0, 2**31), reach_px=st.integers(1, 9), objects=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_changes_stay_near_outlines_and_invent_nothing(
    seed: int, reach_px: int, objects: int
) -> None:
    rng = np.random.default_rng(seed)
    labels, depth_m = empty()
    for index in range(objects):
        x, y, width, height = rng.integers(0, (150, 110, 60, 60)) + (0, 0, 1, 1)
        labels[y : y + height, x : x + width] = index + 1
        depth_m[y : y + height, x : x + width] = rng.uniform(0.5, 0.8)
    depth_m[rng.random(depth_m.shape) < 0.1] = 0
    depth_m[:, rng.integers(160) :] += np.float32(rng.uniform(0, 0.05))
    before = labels.copy(), depth_m.copy()
    result, kept_m = follow_depth(labels, depth_m, CAMERA, reach_px, JUMP_M)
    assert np.array_equal(labels, before[0]) and np.array_equal(depth_m, before[1])
    assert np.array_equal(kept_m[kept_m > 0], depth_m[kept_m > 0])
    changed = (result != labels) | (kept_m != depth_m)
    assert not changed[labels_alone(labels, reach_px)].any()
    assert set(np.unique(result)) <= set(np.unique(labels))
    assert (depth_m[result != labels] > 0).all()


def labels_alone(labels: np.ndarray, reach_px: int) -> np.ndarray:
    """Pixels whose neighbourhood has no other label."""
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(labels, reach_px, mode="edge"), (2 * reach_px + 1,) * 2
    )
    return windows.min(axis=(2, 3)) == windows.max(axis=(2, 3))
