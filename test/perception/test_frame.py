from __future__ import annotations

import json
import logging

import cv2
import numpy as np
import pytest

from repsam_ros.errors import FrameError
from repsam_ros.perception.frame import make_frame

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
