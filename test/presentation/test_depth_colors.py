"""Colours of depth."""

from __future__ import annotations

import numpy as np

from repsam_ros.presentation.depth_colors import color_depth, depth_range


def test_near_is_red_far_is_blue_and_nothing_is_black() -> None:
    depth_m = np.array([[0.5, 0.75, 1.0, 0.0]], np.float32)
    near, middle, far, nothing = color_depth(depth_m, (0.5, 1.0))[0].astype(int)
    assert near[0] > 2 * near[2] and far[2] > far[0]
    assert middle[1] > max(near[1], far[1])
    assert nothing.tolist() == [0, 0, 0]


def test_what_lies_beyond_the_range_has_the_colour_of_its_end() -> None:
    inside, outside = np.array([[0.5, 1.0]], np.float32), np.array([[0.1, 9.0]], np.float32)
    assert np.array_equal(color_depth(inside, (0.5, 1.0)), color_depth(outside, (0.5, 1.0)))


def test_the_range_leaves_out_outliers_and_missing_depth() -> None:
    depth_m = np.zeros((10, 100), np.float32)
    depth_m[:5] = np.linspace(0.6, 0.9, 500).reshape(5, 100)
    depth_m[0, 0] = 79.0
    near_m, far_m = depth_range(depth_m)
    assert 0.6 <= near_m < 0.61 and 0.89 < far_m <= 0.9
    assert depth_range(depth_m, 0.5)[1] < 0.76
    assert depth_range(np.zeros((3, 4), np.float32)) == (0.0, 1.0)


def test_one_depth_alone_has_a_colour() -> None:
    depth_m = np.full((2, 2), 0.7, np.float32)
    picture = color_depth(depth_m, depth_range(depth_m))
    assert picture.any(axis=-1).all() and len(np.unique(picture.reshape(-1, 3), axis=0)) == 1
