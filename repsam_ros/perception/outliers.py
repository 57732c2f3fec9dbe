"""Statistical outliers of object clouds (Rusu et al. 2008), on a grid.

A point is an outlier when the points around it lie further apart than is usual on its object.
The usual measure, the mean distance to the 20 nearest neighbours, takes 100 ms for the points of
20 objects. Here the spacing follows from how many cells of a grid are occupied around the point:
on a surface that number goes with the inverse square of the spacing. On large flat faces, whose
spacing hardly varies, that test alone would cut off the edges that a gripper is to hold: corners
always stay.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

_WINDOW = 5
_MAX_CELLS = 2_000_000
# At the corner of a flat face a window holds 9 occupied cells, inside the face 25.
_CORNER_RATIO = 1.7


def are_inliers(
    points_m: NDArray[np.float32], ids: NDArray[np.uint32], radius_m: float, sigmas: float
) -> NDArray[np.bool_]:
    """(N,) False where the spacing is ``sigmas`` deviations above its object's mean, and no corner.

    Args:
        points_m: (N, 3) points.
        ids: (N,) object of each point; points of one object follow each other.
        radius_m: Reach of the neighbourhood.
    """
    inliers = np.ones(len(points_m), bool)
    changes = np.flatnonzero(np.diff(ids.astype(np.int64), prepend=-1, append=-1))
    for start, stop in itertools.pairwise(changes):
        spacing = _spacing(points_m[start:stop], radius_m)
        mean = spacing.mean()
        limit = max(mean + sigmas * spacing.std(), _CORNER_RATIO * mean)
        inliers[start:stop] = spacing <= limit + 1e-6
    return inliers


def _spacing(points_m: NDArray[np.float32], radius_m: float) -> NDArray[np.float32]:
    """(N,) relative spacing of the points round each point of one object."""
    place, shape = _places(points_m, 2 * radius_m / _WINDOW)
    occupied = np.zeros(shape, np.float32)
    occupied.reshape(-1)[place] = 1
    share = uniform_filter(occupied, _WINDOW, mode="constant").take(place)
    spacing: NDArray[np.float32] = 1 / np.sqrt(np.maximum(share * _WINDOW**3, 1))
    return spacing


def _places(
    points_m: NDArray[np.float32], cell_m: float
) -> tuple[NDArray[np.intp], tuple[int, ...]]:
    """(N,) cell of a flat grid and the grid's shape; cells grow until it fits in memory."""
    columns = np.ascontiguousarray(points_m.T)
    columns -= columns.min(axis=1, keepdims=True)
    while True:
        cells = (columns / np.float32(cell_m)).astype(np.intp)
        shape = tuple(int(size) + 1 for size in cells.max(axis=1))
        if np.prod(shape) <= _MAX_CELLS:
            return (cells[0] * shape[1] + cells[1]) * shape[2] + cells[2], shape
        cell_m *= 2
