from __future__ import annotations

import json
import logging

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repsam_ros.errors import FrameError
from repsam_ros.perception.frame import make_frame, registered_depth
from repsam_ros.structures import Intrinsics

WIDTH, HEIGHT = 16, 12


def color_msg(ros, width=WIDTH, height=HEIGHT, **kwargs):
    return ros.image(np.full((height, width, 3), 9, np.uint8), "rgb8", **kwargs)


def depth_msg(ros, width=WIDTH, height=HEIGHT, value=800, **kwargs):
    return ros.image(np.full((height, width), value, np.uint16), "16UC1", **kwargs)


def test_frame_takes_stamp_and_frame_of_the_color_image(ros):
    frame = make_frame(
        color_msg(ros, stamp_ns=5_000_000_007),
        depth_msg(ros, stamp_ns=5),
        ros.camera_info(WIDTH, HEIGHT),
    )
    assert (frame.stamp_ns, frame.frame_id) == (5_000_000_007, ros.frame_id)
    assert frame.color.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(frame.depth_m, np.float32(0.8))


def test_leading_slash_of_old_drivers_is_dropped(ros):
    frame = make_frame(
        color_msg(ros, frame_id="/cam"),
        depth_msg(ros, frame_id="cam"),
        ros.camera_info(WIDTH, HEIGHT, frame_id="cam"),
    )
    assert frame.frame_id == "cam"


BAD = {
    "no camera info": lambda ros: (color_msg(ros), depth_msg(ros), None, "missing_camera_info"),
    "no color stamp": lambda ros: (
        color_msg(ros, stamp_ns=0),
        depth_msg(ros),
        ros.camera_info(16, 12),
        "zero_stamp",
    ),
    "no depth stamp": lambda ros: (
        color_msg(ros),
        depth_msg(ros, stamp_ns=0),
        ros.camera_info(16, 12),
        "zero_stamp",
    ),
    "depth of another frame": lambda ros: (
        color_msg(ros),
        depth_msg(ros, frame_id="camera_depth_optical_frame"),
        ros.camera_info(16, 12),
        "frame_mismatch",
    ),
    "info of another frame": lambda ros: (
        color_msg(ros),
        depth_msg(ros),
        ros.camera_info(16, 12, frame_id="other"),
        "frame_mismatch",
    ),
    "no frame": lambda ros: (
        color_msg(ros, frame_id=""),
        depth_msg(ros),
        ros.camera_info(16, 12),
        "frame_mismatch",
    ),
    "small depth": lambda ros: (
        color_msg(ros),
        depth_msg(ros, 8, 6),
        ros.camera_info(16, 12),
        "size_mismatch",
    ),
    "info of another size": lambda ros: (
        color_msg(ros),
        depth_msg(ros),
        ros.camera_info(32, 24),
        "size_mismatch",
    ),
    "K is zero": lambda ros: (
        color_msg(ros),
        depth_msg(ros),
        ros.camera_info(16, 12, fx=0.0),
        "bad_intrinsics",
    ),
    "K of no camera": lambda ros: (
        color_msg(ros),
        depth_msg(ros),
        ros.camera_info(16, 12, fx=1e-30),
        "bad_intrinsics",
    ),
    "nanoseconds beyond a second": lambda ros: (
        color_msg(ros, stamp_ns=2**31 * 1_000_000_000),
        depth_msg(ros),
        ros.camera_info(16, 12),
        "bad_stamp",
    ),
    "color of another size": lambda ros: (
        color_msg(ros, 32, 24),
        depth_msg(ros),
        ros.camera_info(16, 12),
        "size_mismatch",
    ),
    "all depth zero": lambda ros: (
        color_msg(ros),
        depth_msg(ros, value=0),
        ros.camera_info(16, 12),
        "empty_depth",
    ),
    "all depth NaN": lambda ros: (
        color_msg(ros),
        ros.image(np.full((12, 16), np.nan, np.float32), "32FC1"),
        ros.camera_info(16, 12),
        "empty_depth",
    ),
    "swapped inputs": lambda ros: (
        depth_msg(ros),
        color_msg(ros),
        ros.camera_info(16, 12),
        "unknown_encoding",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_unusable_input_is_a_frame_error_with_its_cause(ros, case):
    color, depth, info, cause = BAD[case](ros)
    with pytest.raises(FrameError) as error:
        make_frame(color, depth, info)
    assert error.value.cause == cause


def test_lens_distortion_is_warned_of_once(ros, caplog):
    messages = [color_msg(ros, frame_id="wide_camera")]
    messages.append(
        ros.image(np.full((HEIGHT, WIDTH), 0.8, np.float32), "32FC1", frame_id="wide_camera")
    )
    messages.append(ros.camera_info(WIDTH, HEIGHT, frame_id="wide_camera"))
    with caplog.at_level(logging.WARNING):
        make_frame(*messages)
        assert "distortion" not in caplog.text
        messages[2].d = np.array([0.1, -0.2, 0, 0, 0])
        make_frame(*messages)
        make_frame(*messages)
    assert caplog.text.count("lens distortion") == 1


def test_float_depth_in_millimetres_is_warned_of_once(ros, caplog):
    millimetres = np.full((HEIGHT, WIDTH), 800, np.float32)
    messages = [color_msg(ros, frame_id="mm_camera")]
    messages.append(ros.image(millimetres, "32FC1", frame_id="mm_camera"))
    messages.append(ros.camera_info(WIDTH, HEIGHT, frame_id="mm_camera"))
    with caplog.at_level(logging.WARNING):
        make_frame(*messages)
        make_frame(*messages)
    assert caplog.text.count("millimetres") == 1
    frame = make_frame(*messages, depth_scale_m=0.001)
    np.testing.assert_allclose(frame.depth_m, 0.8)


def test_depth_in_metres_is_not_warned_of(ros, caplog):
    metres = np.full((HEIGHT, WIDTH), 0.8, np.float32)
    metres[0, :3] = 79.0  # a few outliers are normal
    with caplog.at_level(logging.WARNING):
        make_frame(color_msg(ros), ros.image(metres, "32FC1"), ros.camera_info(WIDTH, HEIGHT))
    assert not caplog.text


def camera(width, height, fx, cx, cy):
    return Intrinsics(fx, fx, cx, cy, width, height)


@given(st.integers(1, 4), st.booleans())
def test_depth_at_a_whole_fraction_of_the_size_is_repeated_or_sampled(factor, depth_is_finer):
    fine = camera(8 * factor, 6 * factor, 10.0 * factor, 4 * factor - 0.5, 3 * factor - 0.5)
    coarse = camera(8, 6, 10.0, 3.5, 2.5)
    depth_m = np.arange(1, 49, dtype=np.float32).reshape(6, 8)
    repeated = np.kron(depth_m, np.ones((factor, factor), np.float32))
    if depth_is_finer:
        np.testing.assert_array_equal(registered_depth(repeated, fine, coarse), depth_m)
    else:
        np.testing.assert_array_equal(registered_depth(depth_m, coarse, fine), repeated)


@given(
    st.floats(5, 60), st.floats(-5, 25), st.floats(-5, 20), st.integers(1, 30), st.integers(1, 20)
)
def test_each_pixel_takes_the_depth_that_its_ray_meets(fx, cx, cy, width, height):
    depth_camera, color_camera = camera(width, height, fx, cx, cy), camera(16, 12, 14.0, 7.5, 5.5)
    rng = np.random.default_rng(0)
    depth_m = rng.random((height, width), np.float32) + 1
    got_m = registered_depth(depth_m, depth_camera, color_camera)
    for v in range(0, 12, 3):
        for u in range(0, 16, 3):
            x = (u - 7.5) / 14.0 * fx + cx
            y = (v - 5.5) / 14.0 * fx + cy
            inside = -0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5
            near = [
                abs((value + 0.5) % 1) < 1e-6 or abs((value + 0.5) % 1 - 1) < 1e-6
                for value in (x, y)
            ]
            if any(near):
                continue  # on the border of two pixels either is right
            expected = depth_m[round(y), round(x)] if inside else 0
            assert got_m[v, u] == expected


def test_depth_of_another_size_is_registered_with_its_own_intrinsics(ros):
    small = np.full((6, 8), 800, np.uint16)
    small[:, 4:] = 900
    depth_info = ros.camera_info(8, 6, fx=250.0)
    messages = (color_msg(ros), ros.image(small, "16UC1"), ros.camera_info(16, 12, fx=500.0))
    frame = make_frame(*messages, depth_info_msg=depth_info)
    np.testing.assert_array_equal(
        frame.depth_m, np.repeat(small, 2, 0).repeat(2, 1) / np.float32(1000)
    )
    with pytest.raises(FrameError, match="camera info of its own") as error:
        make_frame(*messages)
    assert error.value.cause == "size_mismatch"
    with pytest.raises(FrameError, match="camera info of depth: frame 'depth'") as error:
        make_frame(*messages, depth_info_msg=ros.camera_info(8, 6, frame_id="depth"))
    assert error.value.cause == "frame_mismatch"
    with pytest.raises(FrameError, match="8x6, expected 9x6"):
        make_frame(*messages, depth_info_msg=ros.camera_info(9, 6))


def test_compressed_images_give_the_frame_that_raw_ones_give(ros):
    color, depth = color_msg(ros), depth_msg(ros)
    info = ros.camera_info(WIDTH, HEIGHT)
    pixels = depth.data.view(np.uint16).reshape(HEIGHT, WIDTH)
    png = cv2.imencode(".png", color.data.reshape(HEIGHT, WIDTH, 3))[1]
    compressed_color = ros.compressed_image(png, "rgb8; png compressed bgr8")
    payload = np.concatenate((np.zeros(12, np.uint8), cv2.imencode(".png", pixels)[1]))
    compressed_depth = ros.compressed_image(payload, "16UC1; compressedDepth png")
    expected = make_frame(color, depth, info)
    frame = make_frame(compressed_color, compressed_depth, info)
    np.testing.assert_array_equal(frame.color, expected.color)
    np.testing.assert_array_equal(frame.depth_m, expected.depth_m)
    with pytest.raises(FrameError, match="color image: 16x12, expected 32x24") as error:
        make_frame(compressed_color, compressed_depth, ros.camera_info(32, 24))
    assert error.value.cause == "size_mismatch"


def test_real_tote_with_nan_depth(ros, shared_data):
    color = cv2.imread(str(shared_data / "arc_tote/rgb.jpg"))
    raw_m = np.load(shared_data / "arc_tote/data.npz")["depth"].astype(np.float32)
    info = json.loads((shared_data / "arc_tote/camera_info.json").read_text())
    info_msg = ros.camera_info(info["width"], info["height"])
    info_msg.k = np.array(info["K"])
    frame = make_frame(ros.image(color, "bgr8"), ros.image(raw_m, "32FC1"), info_msg)
    np.testing.assert_array_equal(frame.depth_m > 0, np.isfinite(raw_m))
    np.testing.assert_array_equal(frame.color, color[..., ::-1])
    assert frame.intrinsics.fx == pytest.approx(517.6198168930524)
