"""Images, camera intrinsics and stamps."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError, FrameError
from repsam_ros.messages.types import CameraInfo, Image, Stamp
from repsam_ros.structures import Intrinsics

_NS_PER_S = 1_000_000_000
_MM_PER_M = 1000.0

# encoding -> (channels, conversion to RGB)
_COLOR_ENCODINGS: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
}
_DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")


def stamp_to_ns(stamp: Stamp) -> int:
    """Nanoseconds of a ROS time."""
    return int(stamp.sec) * _NS_PER_S + int(stamp.nanosec)


def ns_to_stamp(stamp_ns: int) -> tuple[int, int]:
    """``(sec, nanosec)`` of a ROS time."""
    return divmod(stamp_ns, _NS_PER_S)


def color_from_image(msg: Image) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, writable and contiguous; shares the message's memory where it can.

    Raises:
        FrameError: ``unknown_encoding``, ``empty_image`` or ``truncated``.
    """
    if msg.encoding not in _COLOR_ENCODINGS:
        raise _unknown_encoding("color", msg.encoding, tuple(_COLOR_ENCODINGS))
    channels, conversion = _COLOR_ENCODINGS[msg.encoding]
    pixels = _pixels(msg, np.dtype(np.uint8), channels, "color")
    if conversion is None:
        return np.require(pixels, requirements=("C", "W"))
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), conversion), dtype=np.uint8)


def depth_from_image(msg: Image, scale_m: float | None = None) -> NDArray[np.float32]:
    """(H, W) float32 metres along the optical axis; 0 where NaN, infinite, zero or negative.

    Units follow REP-118: ``16UC1`` (or ``mono16``) holds millimetres, ``32FC1`` metres.
    ``scale_m`` is the length of one unit where a camera does otherwise.

    Raises:
        FrameError: ``unknown_encoding``, ``empty_image`` or ``truncated``.
        ConfigError: ``scale_m`` is not positive.
    """
    if msg.encoding not in _DEPTH_ENCODINGS:
        raise _unknown_encoding("depth", msg.encoding, _DEPTH_ENCODINGS)
    if msg.encoding == "32FC1":
        return metres_from_floats(_pixels(msg, np.dtype(np.float32), 1, "depth"), scale_m)
    return metres_from_integers(_pixels(msg, np.dtype(np.uint16), 1, "depth"), scale_m)


def metres_from_integers(
    pixels: NDArray[np.uint16], scale_m: float | None = None
) -> NDArray[np.float32]:
    """float32 metres of pixels in millimetres, or in units of ``scale_m``.

    Raises:
        ConfigError: ``scale_m`` is not positive.
    """
    _check_scale(scale_m)
    # Dividing rounds once: 1234 mm gives the same float as 1.234 m from a 32FC1 camera.
    units_per_m = np.float32(_MM_PER_M if scale_m is None else 1.0 / scale_m)
    depth_m: NDArray[np.float32] = np.divide(pixels, units_per_m, dtype=np.float32)
    return depth_m


def metres_from_floats(
    pixels: NDArray[np.float32], scale_m: float | None = None
) -> NDArray[np.float32]:
    """float32 metres of pixels in metres, or in units of ``scale_m``; 0 where they are unusable.

    Raises:
        ConfigError: ``scale_m`` is not positive.
    """
    _check_scale(scale_m)
    with np.errstate(invalid="ignore", over="ignore"):
        depth_m = pixels.astype(np.float32, copy=True)
        if scale_m is not None:
            depth_m *= np.float32(scale_m)
        depth_m[~((depth_m > 0) & (depth_m < np.inf))] = 0
    return depth_m


def mask_from_image(msg: Image) -> NDArray[np.bool_]:
    """(H, W) bool of a ``mono8`` image, True where it is not 0.

    Raises:
        FrameError: ``unknown_encoding``, ``empty_image`` or ``truncated``.
    """
    if msg.encoding not in ("mono8", "8UC1"):
        raise _unknown_encoding("mask", msg.encoding, ("mono8", "8UC1"))
    return _pixels(msg, np.dtype(np.uint8), 1, "mask") > 0


def labels_from_image(msg: Image) -> NDArray[np.uint16]:
    """(H, W) uint16 label map of a ``16UC1`` image.

    Raises:
        FrameError: ``unknown_encoding``, ``empty_image`` or ``truncated``.
    """
    if msg.encoding not in ("16UC1", "mono16"):
        raise _unknown_encoding("label", msg.encoding, ("16UC1", "mono16"))
    return np.array(_pixels(msg, np.dtype(np.uint16), 1, "label"), dtype=np.uint16)


def intrinsics_from_camera_info(msg: CameraInfo) -> Intrinsics:
    """Intrinsics from ``K``: the image is taken as free of distortion.

    Raises:
        FrameError: ``bad_intrinsics``.
    """
    k = np.asarray(msg.k, dtype=np.float64).ravel()
    if k.size != 9:
        raise FrameError("bad_intrinsics", f"camera info: K has {k.size} values, expected 9")
    return Intrinsics(
        fx=float(k[0]),
        fy=float(k[4]),
        cx=float(k[2]),
        cy=float(k[5]),
        width=int(msg.width),
        height=int(msg.height),
    )


def color_image(color: NDArray[np.uint8]) -> dict[str, Any]:
    """Fields of an ``rgb8`` Image from (H, W, 3) uint8 RGB."""
    return _image_fields(color, "rgb8")


def depth_image(depth_m: NDArray[np.float32]) -> dict[str, Any]:
    """Fields of a ``16UC1`` Image in millimetres; what does not fit 16 bits becomes 0."""
    millimetres = np.rint(depth_m * np.float32(_MM_PER_M))
    with np.errstate(invalid="ignore"):
        fits = (millimetres > 0) & (millimetres <= np.iinfo(np.uint16).max)
    return _image_fields(np.where(fits, millimetres, 0).astype("<u2"), "16UC1")


def label_image(labels: NDArray[np.uint16]) -> dict[str, Any]:
    """Fields of a ``16UC1`` Image from an (H, W) uint16 label map."""
    return _image_fields(labels.astype("<u2", copy=False), "16UC1")


def _image_fields(pixels: NDArray[Any], encoding: str) -> dict[str, Any]:
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    return {
        "height": height,
        "width": width,
        "encoding": encoding,
        "is_bigendian": 0,
        "step": pixels.nbytes // max(height, 1),
        "data": pixels.reshape(-1).view(np.uint8),
    }


def _check_scale(scale_m: float | None) -> None:
    if scale_m is not None and not (math.isfinite(scale_m) and scale_m > 0):
        raise ConfigError(f"depth scale must be a positive length in metres, got {scale_m}")


def _pixels(msg: Image, dtype: np.dtype[Any], channels: int, what: str) -> NDArray[Any]:
    """A view of the message's memory: (H, W) or (H, W, channels), row padding left out."""
    height, width, step = int(msg.height), int(msg.width), int(msg.step)
    if height <= 0 or width <= 0:
        raise FrameError("empty_image", f"{what} image: empty size {width}x{height}")
    pixel_bytes = dtype.itemsize * channels
    if step < width * pixel_bytes:
        raise FrameError(
            "truncated",
            f"{what} image: step of {step} bytes, {width} {msg.encoding} pixels need"
            f" {width * pixel_bytes}",
        )
    data = memoryview(msg.data)
    needed = step * (height - 1) + width * pixel_bytes
    if data.nbytes < needed:
        raise FrameError(
            "truncated",
            f"{what} image: {data.nbytes} bytes of data, {width}x{height} {msg.encoding} needs"
            f" {needed}",
        )
    shape: tuple[int, ...] = (height, width)
    strides: tuple[int, ...] = (step, pixel_bytes)
    if channels > 1:
        shape, strides = (*shape, channels), (*strides, dtype.itemsize)
    order = dtype.newbyteorder(">" if msg.is_bigendian else "<")
    return np.ndarray(shape, dtype=order, buffer=data, strides=strides)


def _unknown_encoding(what: str, encoding: str, known: tuple[str, ...]) -> FrameError:
    return FrameError(
        "unknown_encoding",
        f"{what} image: encoding {encoding!r} is not one of {', '.join(known)}",
    )
