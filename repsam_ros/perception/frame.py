"""One checked RGB-D frame from a pair of images and the camera's intrinsics."""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import FrameError
from repsam_ros.messages.compressed import (
    color_from_either,
    depth_from_compressed,
    is_compressed,
)
from repsam_ros.messages.image import (
    depth_from_image,
    intrinsics_from_camera_info,
    stamp_to_ns,
)
from repsam_ros.messages.types import CameraInfo, CompressedImage, Image
from repsam_ros.structures import FARTHEST_MEDIAN_M, Intrinsics, RgbdFrame

_logger = logging.getLogger(__name__)

_MEDIAN_STRIDE_PX = 8
# Seconds of a stamp are 32 bit; nanoseconds of 4 s, which the message allows, can end beyond.
_STAMP_END_NS = 2**31 * 1_000_000_000


def make_frame(
    color_msg: Image | CompressedImage,
    depth_msg: Image | CompressedImage,
    info_msg: CameraInfo | None,
    *,
    depth_scale_m: float | None = None,
    depth_info_msg: CameraInfo | None = None,
) -> RgbdFrame:
    """The frame of a colour image with depth registered to it.

    Args:
        color_msg: Its stamp and frame become those of the frame.
        depth_msg: In the frame of the colour image, and at its size unless its own intrinsics
            are known.
        info_msg: Of the colour camera; None while none has arrived.
        depth_scale_m: Length of one depth unit, None = what the encoding says (REP-118).
        depth_info_msg: Of the depth image where it has another size or K than the colour image.

    Raises:
        FrameError: ``missing_camera_info``, ``zero_stamp``, ``bad_stamp``, ``frame_mismatch``,
            ``bad_intrinsics``, ``size_mismatch``, ``unknown_encoding``, ``empty_image``,
            ``truncated``, ``undecodable`` or ``empty_depth``.
    """
    if info_msg is None:
        raise FrameError("missing_camera_info", "no camera info has arrived yet")
    _check_stamps(color_msg, depth_msg)
    frame_id = _common_frame(color_msg, depth_msg, info_msg, depth_info_msg)
    intrinsics = intrinsics_from_camera_info(info_msg)
    depth_camera = intrinsics
    if depth_info_msg is not None:
        depth_camera = intrinsics_from_camera_info(depth_info_msg)
    # Before the pixels are looked at: that bytes are missing would only follow from the size.
    _check_size("color image", _size_px(color_msg), intrinsics)
    _check_size("depth image", _size_px(depth_msg), depth_camera)
    color, depth_m = _decoded(color_msg, depth_msg, depth_scale_m)
    _check_size("color image", color.shape[1::-1], intrinsics)
    _check_size("depth image", depth_m.shape[::-1], depth_camera)
    if not depth_m.any():
        raise FrameError("empty_depth", "depth image: no valid pixel")
    if any(info_msg.d):
        _warn_distortion(frame_id)
    if _holds_floats(depth_msg) and _looks_like_millimetres(depth_m):
        _warn_millimetres(frame_id)
    return RgbdFrame(
        color=color,
        depth_m=registered_depth(depth_m, depth_camera, intrinsics),
        intrinsics=intrinsics,
        stamp_ns=stamp_to_ns(color_msg.header.stamp),
        frame_id=frame_id,
    )


def registered_depth(
    depth_m: NDArray[np.float32], depth_camera: Intrinsics, color_camera: Intrinsics
) -> NDArray[np.float32]:
    """Depth at the colour camera's pixels, from a camera at the same place with another K.

    Each pixel takes the depth that its ray meets; depths are never mixed. Rays beside the depth
    image have none.
    """
    if depth_camera == color_camera:
        return depth_m
    columns = (np.arange(color_camera.width) - color_camera.cx) / color_camera.fx
    rows = (np.arange(color_camera.height) - color_camera.cy) / color_camera.fy
    x = np.floor(columns * depth_camera.fx + depth_camera.cx + 0.5)
    y = np.floor(rows * depth_camera.fy + depth_camera.cy + 0.5)
    seen_x, seen_y = (x >= 0) & (x < depth_camera.width), (y >= 0) & (y < depth_camera.height)
    result = np.zeros((color_camera.height, color_camera.width), np.float32)
    result[np.ix_(seen_y, seen_x)] = depth_m[np.ix_(y[seen_y].astype(int), x[seen_x].astype(int))]
    return result


def _decoded(
    color_msg: Any, depth_msg: Any, depth_scale_m: float | None
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """(H, W, 3) RGB and (H, W) metres."""
    decode_depth = depth_from_compressed if is_compressed(depth_msg) else depth_from_image
    return color_from_either(color_msg), decode_depth(depth_msg, depth_scale_m)


def _holds_floats(depth_msg: Any) -> bool:
    kind = depth_msg.format if is_compressed(depth_msg) else depth_msg.encoding
    return str(kind).startswith("32FC1")


def _size_px(msg: Any) -> tuple[int, ...] | None:
    """(width, height) that an image says it has; None where only its data tell."""
    return None if is_compressed(msg) else (msg.width, msg.height)


def _check_stamps(color_msg: Any, depth_msg: Any) -> None:
    for what, msg in (("color", color_msg), ("depth", depth_msg)):
        stamp_ns = stamp_to_ns(msg.header.stamp)
        if stamp_ns <= 0:
            raise FrameError("zero_stamp", f"{what} image: stamp {stamp_ns} ns is not set")
        if stamp_ns >= _STAMP_END_NS:
            raise FrameError("bad_stamp", f"{what} image: no ROS time holds {stamp_ns} ns")


def _common_frame(
    color_msg: Any, depth_msg: Any, info_msg: CameraInfo, depth_info_msg: CameraInfo | None
) -> str:
    # tf2 frames have no leading slash; old drivers still send one.
    frame_id = str(color_msg.header.frame_id).lstrip("/")
    if not frame_id:
        raise FrameError("frame_mismatch", "color image: frame_id is empty")
    others = [("depth image", depth_msg), ("camera info", info_msg)]
    if depth_info_msg is not None:
        others.append(("camera info of depth", depth_info_msg))
    for what, msg in others:
        other = str(msg.header.frame_id).lstrip("/")
        if other != frame_id:
            raise FrameError(
                "frame_mismatch",
                f"{what}: frame {other!r}, expected {frame_id!r} of the color image;"
                " depth must be registered to color",
            )
    return frame_id


def _check_size(what: str, size_px: tuple[int, ...] | None, camera: Intrinsics) -> None:
    """Whether (width, height) is that of the camera info."""
    if size_px not in (None, (camera.width, camera.height)):
        hint = "; depth of another size needs a camera info of its own" if "depth" in what else ""
        raise FrameError(
            "size_mismatch",
            f"{what}: {size_px[0]}x{size_px[1]}, expected {camera.width}x{camera.height} of the"
            f" camera info{hint}",
        )


def _looks_like_millimetres(depth_m: NDArray[np.float32]) -> bool:
    sample = depth_m[::_MEDIAN_STRIDE_PX, ::_MEDIAN_STRIDE_PX]
    valid = sample[sample > 0]
    return bool(valid.size) and float(np.median(valid)) > FARTHEST_MEDIAN_M


@functools.cache
def _warn_distortion(frame_id: str) -> None:
    _logger.warning(
        "the camera info of frame %s names lens distortion, which is not undone: unless the images"
        " are rectified, clouds and grasps are off by as much; image_proc rectifies them",
        frame_id,
    )


@functools.cache
def _warn_millimetres(frame_id: str) -> None:
    _logger.warning(
        "32FC1 depth in frame %s has a median over %g m: is it in millimetres?"
        " If so set the depth scale to 0.001",
        frame_id,
        FARTHEST_MEDIAN_M,
    )
