"""Fits a frame onto the network's canvas and brings results back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.structures import Intrinsics, RgbdFrame


@dataclass(frozen=True)
class Canvas:
    """A frame on the canvas, top left, unscaled aspect; the rest is black and without depth.

    Attributes:
        color: (h, w, 3) uint8 RGB.
        depth_m: (h, w) float32, 0 = invalid.
        intrinsics: Of the canvas.
        inner_px: (height, width) of the part that the frame covers.
    """

    color: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    intrinsics: Intrinsics
    inner_px: tuple[int, int]


def fit(frame: RgbdFrame, canvas_px: tuple[int, int]) -> Canvas:
    """Scales a frame to fit ``canvas_px`` (height, width); depth is sampled, never mixed."""
    height, width = canvas_px
    rows, columns = frame.depth_m.shape
    scale = min(height / rows, width / columns)
    inner = (max(1, round(rows * scale)), max(1, round(columns * scale)))
    size = (inner[1], inner[0])
    shrinks = scale < 1
    color = np.zeros((height, width, 3), np.uint8)
    depth_m = np.zeros((height, width), np.float32)
    color[: inner[0], : inner[1]] = cv2.resize(
        frame.color, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    depth_m[: inner[0], : inner[1]] = cv2.resize(
        frame.depth_m, size, interpolation=cv2.INTER_NEAREST_EXACT
    )
    intrinsics = frame.intrinsics.scaled(inner[1] / columns, inner[0] / rows, width, height)
    return Canvas(color, depth_m, intrinsics, inner)


def depth_at(canvas: Canvas, size_px: tuple[int, int]) -> tuple[NDArray[np.float32], Intrinsics]:
    """The canvas's depth, sampled at another (height, width), and the camera of that."""
    height, width = size_px
    depth_m = cv2.resize(canvas.depth_m, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    rows, columns = canvas.depth_m.shape
    camera = canvas.intrinsics.scaled(width / columns, height / rows, width, height)
    return np.asarray(depth_m, np.float32), camera


def points_on_canvas(
    points_px: NDArray[np.float32], canvas: Canvas, frame_px: tuple[int, ...]
) -> NDArray[np.float32]:
    """(N, 2) x, y of the (height, width) frame on its canvas, pixel centres at integers."""
    points = (points_px + 0.5) / _frame_per_canvas(canvas, frame_px) - 0.5
    return np.asarray(points, np.float32)


def points_on_frame(
    points_px: NDArray[np.float32], canvas: Canvas, frame_px: tuple[int, ...]
) -> NDArray[np.float32]:
    """(N, 2) x, y of the canvas on the (height, width) frame, pixel centres at integers."""
    points = (points_px + 0.5) * _frame_per_canvas(canvas, frame_px) - 0.5
    return np.asarray(points, np.float32)


def _frame_per_canvas(canvas: Canvas, frame_px: tuple[int, ...]) -> NDArray[np.float32]:
    """(2,) pixels of the frame in one of the canvas, along x and y."""
    return np.array(
        [frame_px[1] / canvas.inner_px[1], frame_px[0] / canvas.inner_px[0]], np.float32
    )


def to_frame(
    maps: NDArray[np.float32], canvas: Canvas, frame_px: tuple[int, int]
) -> NDArray[np.float32]:
    """(N, h, w) maps over the canvas, at any fraction of its size, to (N, H, W) over the frame."""
    height, width = canvas.depth_m.shape
    result = np.empty((len(maps), *frame_px), np.float32)
    step_y, step_x = maps.shape[1] / height, maps.shape[2] / width
    # One affine map from frame pixels to map pixels, pixel centres at integers.
    scale_x = step_x * canvas.inner_px[1] / frame_px[1]
    scale_y = step_y * canvas.inner_px[0] / frame_px[0]
    matrix = np.array(
        [[scale_x, 0, 0.5 * scale_x - 0.5], [0, scale_y, 0.5 * scale_y - 0.5]], np.float64
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for index, values in enumerate(maps):
        cv2.warpAffine(
            values,
            matrix,
            (frame_px[1], frame_px[0]),
            dst=result[index],
            flags=flags,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return result
