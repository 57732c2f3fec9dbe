"""Surface normals of objects that one camera saw.

Neighbours are looked up in an image of each object as the viewpoint sees it, which takes a
fraction of the time of a search tree. The image's axes turn with the object, and so do the
normals.
"""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from repsam_ros.grasping.sight import cross, image_axes

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

    A point without two neighbours gets the direction to the viewpoint.

    Args:
        points_m: (N, 3) points.
        ids: (N,) object of each point; points of one object follow each other.
    """
    rays_m = np.asarray(points_m, np.float64) - viewpoint_m
    normals = _least_axes(_covariances(rays_m, ids, radius_m))
    to_camera = -rays_m / np.maximum(np.linalg.norm(rays_m, axis=1, keepdims=True), 1e-9)
    normals = np.where(normals.any(axis=1, keepdims=True), normals, to_camera)
    away = np.einsum("nd,nd->n", normals, to_camera) < 0
    return np.where(away[:, None], -normals, normals)


def _covariances(
    rays_m: NDArray[np.float64], ids: NDArray[np.integer], radius_m: float
) -> NDArray[np.float64]:
    """(6, N) covariances xx, yy, zz, xy, xz, yz of neighbours; near ones weigh most."""
    place, width, point_at = _images(rays_m, ids, radius_m / (_REACH_CELLS + 0.5))
    # The last column stands for nobody and is far from everybody.
    points_m = np.full((3, len(rays_m) + 1), 1e3, np.float32)
    points_m[:, :-1] = rays_m.T
    total = np.ones(len(rays_m), np.float32)
    sums, squares, mixed = np.zeros((3, 3, len(rays_m)), np.float32)
    steps = range(-_REACH_CELLS, _REACH_CELLS + 1)
    for row, column in product(steps, steps):
        if 0 < row**2 + column**2 <= _REACH_CELLS**2 + 1:
            neighbor = point_at.take(place + row * width + column)
            offsets_m = points_m.take(neighbor, axis=1) - points_m[:, :-1]
            apart = np.einsum("dn,dn->n", offsets_m, offsets_m) * np.float32(radius_m**-2)
            weight = np.maximum(1 - apart, 0)
            total += weight
            weighted = weight * offsets_m
            sums += weighted
            squares += weighted * offsets_m
            mixed += weighted[[0, 0, 1]] * offsets_m[[1, 2, 2]]
    mean = sums.astype(np.float64) / total
    squares_m = squares / total - mean * mean
    return np.concatenate((squares_m, mixed / total - mean[[0, 0, 1]] * mean[[1, 2, 2]]))


def _images(
    rays_m: NDArray[np.float64], ids: NDArray[np.integer], cell_m: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Images of all objects in one flat array, each with a margin.

    Returns:
        The (N,) place of each point, the (N,) width of its image and the array, which holds a
        point of each place, N where there is none.
    """
    place, width = np.zeros((2, len(rays_m)), np.intp)
    size = 0
    ranges_m = np.maximum(np.linalg.norm(rays_m, axis=1), 1e-9)
    unit = rays_m / ranges_m[:, None]
    ends = np.flatnonzero(np.diff(ids.astype(np.int64), prepend=-1, append=-1))
    for first, end in pairwise(ends):
        rays = unit[first:end]
        local = rays @ image_axes(rays)
        cell_rad = max(cell_m / float(ranges_m[first:end].mean()), _LEAST_CELL_RAD)
        cells = local[:, :2] / np.maximum(local[:, 2:], _LEAST_COSINE) / cell_rad
        cells = np.floor(cells).astype(np.intp)
        cells += _REACH_CELLS - cells.min(axis=0)
        columns, rows = cells.max(axis=0) + _REACH_CELLS + 1
        place[first:end] = size + cells[:, 1] * columns + cells[:, 0]
        width[first:end] = columns
        size += int(columns * rows)
    point_at = np.full(size, len(rays_m), np.intp)
    point_at[place] = np.arange(len(rays_m))
    return place, width, point_at


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
