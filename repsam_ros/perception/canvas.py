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
    result = np.empty((len(maps), *frame_px), np.float32)
    scale, offset = _map_per_frame(maps.shape[1:], canvas, frame_px)
    for index, values in enumerate(maps):
        result[index] = _warped(values, scale, offset, frame_px)
    return result


def inside_on_frame(
    logits: NDArray[np.float32], canvas: Canvas, frame_px: tuple[int, int]
) -> tuple[NDArray[np.float32], tuple[slice, slice]]:
    """The part of the frame outside which a map (h, w) over the canvas is nowhere above 0.

    Returns:
        What :func:`to_frame` has there, and the rows and columns of the frame. Objects are small,
        and scaling a map to all of the frame takes several times as long.
    """
    scale, offset = _map_per_frame(logits.shape, canvas, frame_px)
    above = logits > 0
    rows, columns = (
        _reached(np.flatnonzero(above.any(axis=1 - axis)), scale[axis], offset[axis], size)
        for axis, size in enumerate(frame_px)
    )
    part_px = (rows.stop - rows.start, columns.stop - columns.start)
    if 0 in part_px:
        return np.zeros((0, 0), np.float32), (slice(0, 0), slice(0, 0))
    start_px = np.array([rows.start, columns.start])
    return _warped(logits, scale, offset + start_px * scale, part_px), (rows, columns)


def _reached(cells: NDArray[np.intp], scale: float, offset: float, size: int) -> slice:
    """Pixels of the frame that interpolation gives a share of these cells of a map."""
    if not len(cells):
        return slice(0, 0)
    start = min(max(0, int(np.floor((cells[0] - 1 - offset) / scale))), size)
    stop = int(np.ceil((cells[-1] + 1 - offset) / scale)) + 1
    return slice(start, min(max(start, stop), size))


def _map_per_frame(
    map_px: tuple[int, ...], canvas: Canvas, frame_px: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and offset from pixels of the frame to those of a map, y and x, centres at integers."""
    scale = np.array(map_px) / canvas.depth_m.shape * canvas.inner_px / np.array(frame_px)
    return scale, 0.5 * scale - 0.5


def _warped(
    values: NDArray[np.float32],
    scale: NDArray[np.float64],
    offset: NDArray[np.float64],
    size_px: tuple[int, int],
) -> NDArray[np.float32]:
    warped = cv2.warpAffine(
        values,
        np.array([[scale[1], 0, offset[1]], [0, scale[0], offset[0]]]),
        (size_px[1], size_px[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, np.float32)
