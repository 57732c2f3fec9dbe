"""Scores of depth on transparent pixels against cases computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repsam_ros.errors import DatasetError
from repsam_ros.metrics.transparent_depth import HEIGHT, WIDTH, score_transparent_depth

SIZE = (HEIGHT, WIDTH)


def images(depths: list[float], truths: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth, truth and mask with the given transparent pixels; all else is wrong and opaque."""
    depth, truth = np.full(SIZE, 9, np.float32), np.full(SIZE, 1, np.float32)
    transparent = np.zeros(SIZE, np.bool_)
    depth[3, : len(depths)], truth[3, : len(truths)] = depths, truths
    transparent[3, : len(depths)] = True
    return depth, truth, transparent


def test_four_pixels_by_hand() -> None:
    scores = score_transparent_depth(*images([1.0, 1.0, 2.0, 1.0], [1.0, 1.04, 1.875, 0.8125]))
    assert scores is not None
    errors = [0, 0.04, 0.125, 0.1875]
    assert scores.mae_m == pytest.approx(sum(errors) / 4)
    assert scores.rmse_m == pytest.approx(math.sqrt(sum(error**2 for error in errors) / 4))
    assert scores.rel == pytest.approx((0.04 / 1.04 + 0.125 / 1.875 + 0.1875 / 0.8125) / 4)
    # The ratios are 1, 1.04, 1.067 and 1.231.
    assert (scores.delta_105, scores.delta_110, scores.delta_125) == (0.5, 0.75, 1)
    assert (scores.missing, scores.pixels) == (0, 4)


def test_thresholds_are_not_part_of_the_share() -> None:
    scores = score_transparent_depth(*images([1.25, 1.0], [1.0, 1.25]))
    assert scores is not None and scores.delta_125 == 0


def test_missing_depth_is_wrong_by_all_of_the_true_depth() -> None:
    scores = score_transparent_depth(*images([0.0, 0.5], [0.5, 0.5]))
    assert scores is not None
    assert (scores.mae_m, scores.rel, scores.missing) == (0.25, 0.5, 0.5)
    assert scores.rmse_m == pytest.approx(math.sqrt(0.125))
    assert scores.delta_105 == scores.delta_125 == 0.5


def test_unknown_truth_and_opaque_pixels_do_not_count() -> None:
    scores = score_transparent_depth(*images([1.0, 5.0], [1.0, 0.0]))
    assert scores is not None
    assert (scores.rmse_m, scores.pixels) == (0, 1)
    assert score_transparent_depth(*images([1.0], [0.0])) is None
    assert score_transparent_depth(*images([], [])) is None


def test_larger_images_are_sampled_at_the_nearest_pixel() -> None:
    depth, truth, transparent = (np.kron(image, np.ones((5, 5))) for image in images([2], [1]))
    depth[15:20, :5][1:, 1:] = 7  # what is not sampled, at 1280x720
    transparent = transparent > 0
    scores = score_transparent_depth(
        depth.astype(np.float32), truth.astype(np.float32), transparent
    )
    assert scores is not None and (scores.mae_m, scores.pixels) == (1, 1)


def test_sizes_must_agree() -> None:
    depth, truth, transparent = images([1], [1])
    with pytest.raises(DatasetError, match="true depth"):
        score_transparent_depth(depth, truth[1:], transparent)
    with pytest.raises(DatasetError, match="transparent pixels"):
        score_transparent_depth(depth, truth, transparent[:, 1:])


@given(
    st.lists(st.floats(0.25, 4, width=32), min_size=1, max_size=20), st.floats(0.25, 4, width=32)
)
def test_perfect_depth_is_perfect_and_scale_changes_no_ratio(
    truths: list[float], scale: float
) -> None:
    exact = score_transparent_depth(*images(truths, truths))
    assert exact is not None
    assert exact.rmse_m == exact.mae_m == exact.rel == 0
    assert exact.delta_105 == exact.delta_110 == exact.delta_125 == 1
    depth, truth, transparent = images([0.75] * len(truths), truths)
    scores = score_transparent_depth(depth, truth, transparent)
    scaled = score_transparent_depth(
        depth * np.float32(scale), truth * np.float32(scale), transparent
    )
    assert scores is not None and scaled is not None
    assert scaled.rel == pytest.approx(scores.rel, abs=1e-6)
    assert scaled.rmse_m == pytest.approx(scores.rmse_m * scale, rel=1e-5, abs=1e-6)
    assert scores.mae_m <= scores.rmse_m + 1e-9
    assert scores.delta_105 <= scores.delta_110 <= scores.delta_125
