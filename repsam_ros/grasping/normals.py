"""Surface normals of objects that one camera saw.

Neighbours are looked up in an image of each object as the viewpoint sees it, which takes a
fraction of the time of a search tree. The image's axes turn with the object, and so do the
normals.
"""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from repsam_ros.grasping.sight import cross, image_axes, lengths_m

_REACH_CELLS = 3
_LEAST_CELL_RAD = 0.002
_LEAST_COSINE = 0.7


def estimate_normals(
    points_m: NDArray[np.floating],
    ids: NDArray[np.integer],
    viewpoint_m: NDArray[np.float64],
    radius_m: float,
) -> NDArray[np.float64]:
    """(N, 3) unit normals: least principal axis of the neighbours in ``radius_m``, to the camera.

    A place without two neighbours gets the direction to the viewpoint.

    Args:
        points_m: (N, 3) points.
        ids: (N,) object of each point; points of one object follow each other.
    """
    rays_m = np.asarray(points_m, np.float64) - viewpoint_m
    place, off, width, size = _images(rays_m, ids, radius_m / (_REACH_CELLS + 0.5))
    # The point next to the middle of a cell stands for all that are in it.
    least = np.full(size, np.inf)
    np.minimum.at(least, place, off)
    points = np.flatnonzero(off == least.take(place))
    point_at = np.full(size, -1, np.intp)
    point_at[place.take(points)] = points
    cells = np.flatnonzero(point_at >= 0)
    points = point_at.take(cells)
    # A number that is no point's stands for nobody.
    point_at[:] = len(cells)
    point_at[cells] = np.arange(len(cells))
    covariances = _covariances(
        rays_m.take(points, axis=0), cells, width.take(points), point_at, radius_m
    )
    axes = _least_axes(covariances)
    cell = point_at.take(place)
    normals, found = axes.take(cell, axis=0), axes.any(axis=1).take(cell)
    to_camera = -rays_m / np.maximum(lengths_m(rays_m), 1e-9)[:, None]
    away = np.einsum("nd,nd->n", normals, to_camera) < 0
    normals *= np.where(away, -1.0, 1.0)[:, None]
    return np.where(found[:, None], normals, to_camera)


def _covariances(
    points_m: NDArray[np.float64],
    place: NDArray[np.intp],
    width: NDArray[np.intp],
    point_at: NDArray[np.intp],
    radius_m: float,
) -> NDArray[np.float64]:
    """(6, C) covariances xx, yy, zz, xy, xz, yz of neighbours; near ones weigh most.

    Args:
        points_m: (C, 3) points, the only ones of their cells.
        place: (C,) their cells.
        width: (C,) width of the image that each is in.
        point_at: Point of each cell, C where there is none.
    """
    # The last column stands for nobody and is far from everybody.
    points = np.full((3, len(points_m) + 1), 1e3, np.float32)
    points[:, :-1] = points_m.T
    total = np.ones(len(points_m), np.float32)
    sums, squares, mixed = np.zeros((3, 3, len(points_m)), np.float32)
    steps = range(-_REACH_CELLS, _REACH_CELLS + 1)
    for row, column in product(steps, steps):
        if 0 < row**2 + column**2 <= _REACH_CELLS**2 + 1:
            neighbor = point_at.take(place + (row * width + column))
            offsets_m = points.take(neighbor, axis=1)
            offsets_m -= points[:, :-1]
            apart = np.einsum("dn,dn->n", offsets_m, offsets_m) * np.float32(radius_m**-2)
            weight = np.maximum(1 - apart, 0)
            total += weight
            weighted = weight * offsets_m
            sums += weighted
            squares += weighted * offsets_m
            mixed[:2] += weighted[0] * offsets_m[1:]
            mixed[2] += weighted[1] * offsets_m[2]
    mean = sums.astype(np.float64) / total
    squares_m = squares / total - mean * mean
    return np.concatenate((squares_m, mixed / total - mean[[0, 0, 1]] * mean[[1, 2, 2]]))


def _images(
    rays_m: NDArray[np.float64], ids: NDArray[np.integer], cell_m: float
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.intp], int]:
    """Images of all objects, one after the other, each with a margin.

    Returns:
        The (N,) cell of each point, how far it is from the cell's middle (in cells, squared), the
        (N,) width of its image and the number of cells.
    """
    place, width = np.zeros((2, len(rays_m)), np.intp)
    off = np.zeros(len(rays_m))
    size = 0
    ranges_m = np.maximum(lengths_m(rays_m), 1e-9)
    unit = rays_m / ranges_m[:, None]
    ends = np.flatnonzero(np.diff(ids.astype(np.int64), prepend=-1, append=-1))
    for first, end in pairwise(ends):
        rays = unit[first:end]
        local = rays @ image_axes(rays)
        cell_rad = max(cell_m / float(ranges_m[first:end].mean()), _LEAST_CELL_RAD)
        cells = local[:, :2] / np.maximum(local[:, 2:], _LEAST_COSINE) / cell_rad
        corners = np.floor(cells)
        column_off, row_off = (cells - corners - 0.5).T
        off[first:end] = column_off**2 + row_off**2
        cells = corners.astype(np.intp)
        cells += _REACH_CELLS - cells.min(axis=0)
        columns, rows = cells.max(axis=0) + _REACH_CELLS + 1
        place[first:end] = size + cells[:, 1] * columns + cells[:, 0]
        width[first:end] = columns
        size += int(columns * rows)
    return place, off, width, size


def _least_axes(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) unit eigenvectors of the least eigenvalues, zeros where no direction is least.

    The eigenvalue is Cardano's (Smith 1961); its eigenvector is perpendicular to the rows of the
    matrix less the eigenvalue.

    Args:
        covariance: (6, N) symmetric matrices: xx, yy, zz, xy, xz, yz.
    """
    xx, yy, zz, xy, xz, yz = covariance / np.maximum(covariance[:3].sum(axis=0), 1e-30)
    third = (xx + yy + zz) / 3
    xx, yy, zz = xx - third, yy - third, zz - third
    spread = np.sqrt((xx**2 + yy**2 + zz**2 + 2 * (xy**2 + xz**2 + yz**2)) / 6)
    determinant = xx * (yy * zz - yz**2) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)
    cosine = np.clip(determinant / np.maximum(2 * spread**3, 1e-30), -1, 1)
    least = 2 * spread * np.cos(np.arccos(cosine) / 3 + 2 * np.pi / 3)
    rows = np.array([[xx - least, xy, xz], [xy, yy - least, yz], [xz, yz, zz - least]])
    across = cross(rows.transpose(0, 2, 1), rows[[1, 2, 0]].transpose(0, 2, 1))  # (3, N, 3)
    lengths = np.sqrt(np.einsum("pnd,pnd->pn", across, across))
    best = lengths.argmax(axis=0), np.arange(lengths.shape[1])
    longest = lengths[best][:, None]
    return np.where(longest > 1e-9, across[best] / np.maximum(longest, 1e-9), 0)
