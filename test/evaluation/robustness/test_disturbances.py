"""Properties of the ways to make a frame worse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repsam_ros.errors import ConfigError
from repsam_ros.evaluation.robustness.disturbances import DISTURBANCES, check_levels, disturbed
from repsam_ros.structures import Intrinsics, RgbdFrame

HEIGHT, WIDTH = 48, 64


def frame(seed: int = 0) -> RgbdFrame:
    draw = np.random.default_rng(seed)
    depth_m = draw.uniform(0.5, 1.5, (HEIGHT, WIDTH)).astype(np.float32)
    depth_m[draw.random((HEIGHT, WIDTH)) < 0.2] = 0
    color = draw.integers(20, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return RgbdFrame(color, depth_m, Intrinsics(60, 60, 32, 24, WIDTH, HEIGHT), 7)


def make_worse(name: str, level: float, seed: int = 0) -> RgbdFrame:
    return disturbed(frame(), name, level, np.random.default_rng(seed))


@given(share=st.floats(0, 1), seed=st.integers(0, 99))
def test_exactly_the_share_of_the_measured_depth_is_lost(share: float, seed: int) -> None:
    before, after = frame().depth_m, make_worse("depth_lost", share, seed).depth_m
    kept = after > 0
    assert (before > 0).sum() - kept.sum() == round(share * int((before > 0).sum()))
    assert np.array_equal(after[kept], before[kept])


def test_depth_is_lost_in_patches() -> None:
    whole = RgbdFrame(frame().color, np.ones((HEIGHT, WIDTH), np.float32), frame().intrinsics)
    lost = disturbed(whole, "depth_lost", 0.5, np.random.default_rng(0)).depth_m == 0
    same_as_neighbour = (lost[:, 1:] == lost[:, :-1]).mean()
    assert same_as_neighbour > 0.65  # single pixels would give a half


def test_noise_of_depth_grows_with_the_level_and_the_distance() -> None:
    depth_m = np.full((HEIGHT, WIDTH), 0.4, np.float32)
    depth_m[:, WIDTH // 2 :] = 2.4
    flat = RgbdFrame(frame().color, depth_m, frame().intrinsics)
    for scale in (1.0, 4.0):
        error_m = disturbed(flat, "depth_noise", scale, np.random.default_rng(0)).depth_m - depth_m
        near, far = error_m[:, : WIDTH // 2].std(), error_m[:, WIDTH // 2 :].std()
        assert near == pytest.approx(scale * 0.0012, rel=0.1)
        assert far == pytest.approx(scale * 0.0088, rel=0.1)


@pytest.mark.parametrize("name", ["depth_noise", "depth_lost"])
def test_unmeasured_depth_stays_unmeasured_and_colour_stays(name: str) -> None:
    after = make_worse(name, 1.0)
    assert not after.depth_m[frame().depth_m == 0].any()
    assert np.array_equal(after.color, frame().color)


def test_light_is_linear_until_white() -> None:
    dark, bright = make_worse("light", 0.25), make_worse("light", 50.0)
    mean = np.mean((dark.color / 255.0) ** 2.2) / np.mean((frame().color / 255.0) ** 2.2)
    assert mean == pytest.approx(0.25, rel=0.02)
    assert bright.color.max() == 255


def test_blur_takes_detail_and_noise_adds_it() -> None:
    def detail(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image.astype(float), axis=1)).mean())

    plain = detail(frame().color)
    # Pixels of an image 640 wide: ten of them are one here.
    assert detail(make_worse("blur", 10.0).color) < 0.7 * plain
    assert detail(make_worse("color_noise", 40.0).color) > 1.1 * plain


@pytest.mark.parametrize("name", DISTURBANCES)
def test_the_frame_is_not_changed_in_place_and_the_seed_decides(name: str) -> None:
    given, kept = frame(), frame()
    level = DISTURBANCES[name].highest
    first = disturbed(given, name, level, np.random.default_rng(3))
    again = disturbed(given, name, level, np.random.default_rng(3))
    assert np.array_equal(given.color, kept.color) and np.array_equal(given.depth_m, kept.depth_m)
    assert np.array_equal(first.color, again.color)
    assert np.array_equal(first.depth_m, again.depth_m)
    assert first.stamp_ns == 7
    neutral = DISTURBANCES[name].neutral
    assert disturbed(given, name, neutral, np.random.default_rng(3)) is given


def test_wrong_names_and_levels_are_named() -> None:
    with pytest.raises(ConfigError, match="'fog'; there are depth_lost"):
        check_levels("fog", (1.0,))
    with pytest.raises(ConfigError, match="between 0 and 1, got"):
        check_levels("depth_lost", (0.5, 1.5))
