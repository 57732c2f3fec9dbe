"""Canvas: geometry survives the way there and back, depth is never mixed."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from repsam_ros.perception.canvas import depth_at, fit, inside_on_frame, to_frame
from repsam_ros.structures import Intrinsics, RgbdFrame


def frame_of(depth_m: np.ndarray) -> RgbdFrame:
    height, width = depth_m.shape
    intrinsics = Intrinsics(500.0, 505.0, 0.5 * width, 0.45 * height, width, height)
    return RgbdFrame(np.full((height, width, 3), 7, np.uint8), depth_m, intrinsics)


@settings(max_examples=25, deadline=None)
@given(st.integers(60, 700), st.integers(60, 700))
def test_rays_keep_their_direction(height: int, width: int) -> None:
    frame = frame_of(np.ones((height, width), np.float32))
    canvas = fit(frame, (240, 320))
    x, y = 0.3 * width, 0.7 * height
    scale_x, scale_y = canvas.inner_px[1] / width, canvas.inner_px[0] / height
    u, v = (x + 0.5) * scale_x - 0.5, (y + 0.5) * scale_y - 0.5
    before = ((x - frame.intrinsics.cx) / 500.0, (y - frame.intrinsics.cy) / 505.0)
    k = canvas.intrinsics
    after = ((u - k.cx) / k.fx, (v - k.cy) / k.fy)
    assert np.allclose(before, after, atol=1e-9)
    assert canvas.depth_m.shape == (240, 320)
    assert canvas.inner_px[0] == 240 or canvas.inner_px[1] == 320


def test_depth_values_are_sampled_not_mixed() -> None:
    depth = np.where(np.arange(640) < 321, 0.5, 2.0)[None].repeat(480, 0).astype(np.float32)
    depth[:, 100:140] = 0
    canvas = fit(frame_of(depth), (240, 320))
    assert set(np.unique(canvas.depth_m)) == {0.0, 0.5, 2.0}


def test_depth_at_the_size_of_masks_keeps_values_and_rays() -> None:
    depth = np.where(np.arange(640) < 321, 0.5, 2.0)[None].repeat(480, 0).astype(np.float32)
    canvas = fit(frame_of(depth), (240, 320))
    depth_m, camera = depth_at(canvas, (120, 160))
    assert depth_m.shape == (120, 160)
    assert set(np.unique(depth_m)) == {0.5, 2.0}
    # The outer corner of the last pixel sees the same direction at both sizes.
    for k, size in ((canvas.intrinsics, (240, 320)), (camera, (120, 160))):
        corner = ((size[1] - 0.5 - k.cx) / k.fx, (size[0] - 0.5 - k.cy) / k.fy)
        assert np.allclose(corner, (319.5 / 500.0, 263.5 / 505.0), atol=1e-6)


def test_wide_frames_leave_the_rest_without_depth() -> None:
    canvas = fit(frame_of(np.ones((720, 1280), np.float32)), (240, 320))
    assert canvas.inner_px == (180, 320)
    assert np.all(canvas.depth_m[:180] == 1)
    assert np.all(canvas.depth_m[180:] == 0)
    assert np.all(canvas.color[180:] == 0)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([(480, 640), (240, 320), (720, 1280), (300, 310)]), st.integers(0, 99))
def test_a_ramp_comes_back_as_the_same_ramp(size: tuple[int, int], seed: int) -> None:
    canvas = fit(frame_of(np.ones(size, np.float32)), (240, 320))
    slope_x, slope_y = np.random.default_rng(seed).normal(0, 1, 2)
    # A map at half the canvas' size: its cell (i, j) is centred at canvas pixel 2 i + 0.5.
    y, x = np.mgrid[:120, :160] * 2 + 0.5
    values = (slope_x * x + slope_y * y).astype(np.float32)
    back = to_frame(values[None], canvas, size)[0]
    rows, columns = np.mgrid[: size[0], : size[1]]
    u = (columns + 0.5) * canvas.inner_px[1] / size[1] - 0.5
    v = (rows + 0.5) * canvas.inner_px[0] / size[0] - 0.5
    inner = (u > 2) & (u < 315) & (v > 2) & (v < min(235, canvas.inner_px[0] - 2))
    # OpenCV interpolates with 1/32 of a pixel.
    tolerance = (abs(slope_x) + abs(slope_y)) * 2 / 32 + 1e-3
    assert np.abs(back - (slope_x * u + slope_y * v))[inner].max() <= tolerance


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([(480, 640), (240, 320), (720, 1280), (100, 90)]), st.integers(0, 999))
def test_the_part_with_a_mask_is_that_of_the_whole(size: tuple[int, int], seed: int) -> None:
    canvas = fit(frame_of(np.ones(size, np.float32)), (240, 320))
    random = np.random.default_rng(seed)
    logits = random.normal(-7, 1, (120, 160)).astype(np.float32)
    top, left = random.integers(0, (120, 160))
    height, width = random.integers(0, 40, 2)
    logits[top : top + height, left : left + width] += 8
    whole = to_frame(logits[None], canvas, size)[0]
    part, box = inside_on_frame(logits, canvas, size)
    assert part.shape == whole[box].shape
    # OpenCV rounds places to 1/32 of a pixel.
    assert np.abs(part - whole[box]).max(initial=0) <= np.ptp(logits) * 2 / 32
    whole[box] = 0
    assert whole.max() <= 0


def test_a_mask_that_is_nowhere_has_an_empty_part() -> None:
    canvas = fit(frame_of(np.ones((480, 640), np.float32)), (240, 320))
    part, box = inside_on_frame(np.full((120, 160), -1, np.float32), canvas, (480, 640))
    assert part.size == 0 and np.zeros((480, 640))[box].shape == part.shape
