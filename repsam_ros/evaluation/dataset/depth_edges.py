"""How a sensor's depth looks at edges and on planes, from depth alone.

Pixels are given as those of a picture 640 pixels wide, so that cameras can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.structures import RgbdFrame

SIDES = ("left", "right", "up", "down")
# Disparity that a baseline of 50 mm at 525 px gives such a step is 2.5, 5, 10 and 20 px.
STEPS_PX_M = (50.0, 100.0, 200.0, 400.0)
_SLOPE_PX = 4
_MAX_GAP_PX = 60
_MAX_DEPTH_M = 1.6
_LINE_ROWS = 11
_WINDOW_PX = 12
# Of small pictures: fewer pixels would lie on any plane.
_SMALLEST_WINDOW_PX = 3
_PLANE_BIN_M = 0.1
_MIN_COUNT = 30


@dataclass(frozen=True)
class Edges:
    """Where depth jumps along the rows of one picture, near side on the right.

    Attributes:
        row: (N,) int64.
        column: (N,) int64, the first pixel of the near side.
        gap_px: (N,) pixels without depth between the two sides.
        step: (N,) focal length in pixels times the step in inverse depth, px/m.
    """

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    gap_px: NDArray[np.float64]
    step: NDArray[np.float64]


def find_edges(depth_m: NDArray[np.float32], focal_px: float) -> Edges:
    """Steps of at least ``STEPS_PX_M[0]`` over the plane that the far side lies on.

    ``gap_px`` and ``column`` are those of this picture, ``step`` is as if it were 640 px wide.
    """
    scale = 640 / depth_m.shape[1]
    rows, columns = np.nonzero(depth_m > 0)
    inverse = 1.0 / depth_m[rows, columns].astype(np.float64)
    i = np.arange(_SLOPE_PX, len(rows) - 1)
    far_first, far, near = i - _SLOPE_PX, i, i + 1
    gap = columns[near] - columns[far] - 1
    whole = (rows[far_first] == rows[near]) & (columns[far] - columns[far_first] == _SLOPE_PX)
    slope = (inverse[far] - inverse[far_first]) / _SLOPE_PX
    step = (inverse[near] - inverse[far] - slope * (gap + 1)) * focal_px * scale
    keep = whole & (gap * scale <= _MAX_GAP_PX) & (step > STEPS_PX_M[0])
    keep &= 1 / inverse[near] < _MAX_DEPTH_M
    at = near[keep]
    return Edges(rows[at], columns[at], gap[keep].astype(np.float64), step[keep])


def edges_by_side(frame: RgbdFrame) -> dict[str, Edges]:
    """The edges on each side of near things; up is the side that looks up in the picture."""
    depth, camera = frame.depth_m, frame.intrinsics
    # Columns of a turned picture are as long as rows of an upright one.
    width = depth.shape[1]
    turned = np.zeros((width, width), np.float32)
    turned[:, : depth.shape[0]] = depth.T
    turned_back = np.zeros_like(turned)
    turned_back[:, : depth.shape[0]] = depth.T[:, ::-1]
    return {
        "left": find_edges(depth, camera.fx),
        "right": find_edges(np.ascontiguousarray(depth[:, ::-1]), camera.fx),
        "up": find_edges(turned, camera.fy),
        "down": find_edges(turned_back, camera.fy),
    }


def raggedness_px(edges: Edges) -> NDArray[np.float64]:
    """Scatter about a straight line of each piece of an edge that is ``_LINE_ROWS`` rows long."""
    last: dict[tuple[int, int], list[int]] = {}
    pieces = []
    for row, column in zip(edges.row.tolist(), edges.column.tolist(), strict=True):
        track = next(
            (last[row - 1, column + d] for d in (0, -1, 1, -2, 2) if (row - 1, column + d) in last),
            [],
        )
        track = [*track[-(_LINE_ROWS - 1) :], column]
        last[row, column] = track
        if len(track) == _LINE_ROWS:
            pieces.append(track)
    if not pieces:
        return np.zeros(0)
    at = np.asarray(pieces, np.float64)
    ramp = np.arange(_LINE_ROWS) - (_LINE_ROWS - 1) / 2
    slope = at @ ramp / (ramp @ ramp)
    error = at - at.mean(1, keepdims=True) - slope[:, None] * ramp
    return np.asarray(error.std(1)[np.abs(slope) < 1])


def plane_noise(depth_m: NDArray[np.float32], background: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N, 3) of square windows in the background: depth, scatter about a plane, white part, m.

    Inverse depth is linear over the picture of a plane. The white part is what neighbours do
    not share.
    """
    size = max(_SMALLEST_WINDOW_PX, round(_WINDOW_PX * depth_m.shape[1] / 640))
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    design = np.stack([x.ravel(), y.ravel(), np.ones(size * size)], axis=1)
    height, width = (length // size * size for length in depth_m.shape)

    def windows(image: NDArray[Any]) -> NDArray[Any]:
        cut = image[:height, :width].reshape(height // size, size, width // size, size)
        return cut.transpose(0, 2, 1, 3).reshape(-1, size * size)

    usable = (depth_m > 0) & (depth_m < _MAX_DEPTH_M) & background
    depth = windows(depth_m)[windows(usable).all(axis=1)].astype(np.float64)
    plane = (1 / depth) @ np.linalg.pinv(design).T @ design.T
    error = depth - 1 / plane
    white = np.diff(error.reshape(-1, size, size), axis=2).std(axis=(1, 2)) / np.sqrt(2)
    return np.stack([depth.mean(axis=1), error.std(axis=1), white], axis=1)


def summarise_edges(by_frame: Sequence[Edges], scale: float) -> dict[str, Any]:
    """Missing pixels by size of the step, and raggedness; ``scale`` is 640 over the width."""
    gap = np.concatenate([edges.gap_px for edges in by_frame]) * scale
    step = np.concatenate([edges.step for edges in by_frame])
    ragged = np.concatenate([raggedness_px(edges) for edges in by_frame]) * scale
    rows = []
    for low, high in zip(STEPS_PX_M, (*STEPS_PX_M[1:], np.inf), strict=True):
        inside = (step >= low) & (step < high)
        if inside.sum() >= _MIN_COUNT:
            rows.append(
                {
                    "step_px_m": low,
                    "edges": int(inside.sum()),
                    "with_gap": float((gap[inside] > 0).mean()),
                    "gap_px": float(gap[inside].mean()),
                    "gap_mm": float(1000 * gap[inside].sum() / step[inside].sum()),
                }
            )
    typical = float(np.median(ragged)) if len(ragged) >= _MIN_COUNT else None
    return {"steps": rows, "raggedness_px": typical}


def summarise_planes(windows: NDArray[np.float64]) -> list[dict[str, float]]:
    """Median noise by depth."""
    place = np.round(windows[:, 0] / _PLANE_BIN_M).astype(int)
    rows = []
    for number in np.unique(place):
        part = windows[place == number]
        if len(part) >= _MIN_COUNT:
            rows.append(
                {
                    "depth_m": round(float(number * _PLANE_BIN_M), 3),
                    "windows": len(part),
                    "sigma_mm": float(1000 * np.median(part[:, 1])),
                    "white_mm": float(1000 * np.median(part[:, 2])),
                }
            )
    return rows
