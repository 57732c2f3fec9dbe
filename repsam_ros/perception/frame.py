"""One checked RGB-D frame from a pair of images and the camera's intrinsics."""

from __future__ import annotations

import functools
import logging

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import FrameError
from repsam_ros.messages.image import (
    color_from_image,
    depth_from_image,
    intrinsics_from_camera_info,
    stamp_to_ns,
)
from repsam_ros.messages.types import CameraInfo, Image
from repsam_ros.structures import RgbdFrame

_logger = logging.getLogger(__name__)

# No depth camera of a robot arm sees this far; nearly every one reports more than 50 mm.
_PLAUSIBLE_MEDIAN_M = 50.0
_MEDIAN_STRIDE_PX = 8


def make_frame(
    color_msg: Image,
    depth_msg: Image,
    info_msg: CameraInfo | None,
    *,
    depth_scale_m: float | None = None,
) -> RgbdFrame:
    """The frame of a colour image with depth registered to it.

    Args:
        color_msg: Its stamp and frame become those of the frame.
        depth_msg: In the frame and at the size of the colour image.
        info_msg: Of the colour camera; None while none has arrived.
        depth_scale_m: Length of one depth unit, None = what the encoding says (REP-118).

    Raises:
        FrameError: ``missing_camera_info``, ``zero_stamp``, ``frame_mismatch``,
            ``bad_intrinsics``, ``size_mismatch``, ``unknown_encoding``, ``empty_image``,
            ``truncated`` or ``empty_depth``.
    """
    if info_msg is None:
        raise FrameError("missing_camera_info", "no camera info has arrived yet")
    _check_stamps(color_msg, depth_msg)
    frame_id = _common_frame(color_msg, depth_msg, info_msg)
    intrinsics = intrinsics_from_camera_info(info_msg)
    _check_sizes(color_msg, depth_msg, info_msg)
    color = color_from_image(color_msg)
    depth_m = depth_from_image(depth_msg, depth_scale_m)
    if not depth_m.any():
        raise FrameError("empty_depth", "depth image: no valid pixel")
    if depth_msg.encoding == "32FC1" and _looks_like_millimetres(depth_m):
        _warn_millimetres(frame_id)
    return RgbdFrame(
        color=color,
        depth_m=depth_m,
        intrinsics=intrinsics,
        stamp_ns=stamp_to_ns(color_msg.header.stamp),
        frame_id=frame_id,
    )


def _check_stamps(color_msg: Image, depth_msg: Image) -> None:
    for what, msg in (("color", color_msg), ("depth", depth_msg)):
        stamp_ns = stamp_to_ns(msg.header.stamp)
        if stamp_ns <= 0:
            raise FrameError("zero_stamp", f"{what} image: stamp {stamp_ns} ns is not set")


def _common_frame(color_msg: Image, depth_msg: Image, info_msg: CameraInfo) -> str:
    # tf2 frames have no leading slash; old drivers still send one.
    frame_id = str(color_msg.header.frame_id).lstrip("/")
    if not frame_id:
        raise FrameError("frame_mismatch", "color image: frame_id is empty")
    for what, msg in (("depth image", depth_msg), ("camera info", info_msg)):
        other = str(msg.header.frame_id).lstrip("/")
        if other != frame_id:
            raise FrameError(
                "frame_mismatch",
                f"{what}: frame {other!r}, expected {frame_id!r} of the color image;"
                " depth must be registered to color",
            )
    return frame_id


def _check_sizes(color_msg: Image, depth_msg: Image, info_msg: CameraInfo) -> None:
    expected = (color_msg.width, color_msg.height)
    for what, width, height in (
        ("depth image", depth_msg.width, depth_msg.height),
        ("camera info", info_msg.width, info_msg.height),
    ):
        if (width, height) != expected:
            raise FrameError(
                "size_mismatch",
                f"{what}: {width}x{height}, expected {expected[0]}x{expected[1]}"
                " of the color image",
            )


def _looks_like_millimetres(depth_m: NDArray[np.float32]) -> bool:
    sample = depth_m[::_MEDIAN_STRIDE_PX, ::_MEDIAN_STRIDE_PX]
    valid = sample[sample > 0]
    return bool(valid.size) and float(np.median(valid)) > _PLAUSIBLE_MEDIAN_M


@functools.cache
def _warn_millimetres(frame_id: str) -> None:
    _logger.warning(
        "32FC1 depth in frame %s has a median over %g m: is it in millimetres?"
        " If so set the depth scale to 0.001",
        frame_id,
        _PLAUSIBLE_MEDIAN_M,
    )
