"""The plane that the objects stand on, fitted to the points around them.

Seeded RANSAC (Fischler and Bolles 1981) proposes planes, least squares with Tukey weights
refines the best. A plane that the objects touch wins over a bigger one behind them (a wall, the
floor under a table): no image axis and no gravity direction is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError
from repsam_ros.structures import Plane

_MAX_FIT_POINTS = 3000
_MAX_REFINE_POINTS = 10_000
_MAX_POINTS_PER_OBJECT = 60
# What is known of so many planes at a time stays in the processor's cache.
_PLANES_AT_ONCE = 10


@dataclass(frozen=True)
class PlaneSettings:
    """How the support plane is found.

    Attributes:
        inlier_m: Distance of an inlier to the plane, metres.
        min_inlier_share: Share of the points around the objects that the plane must explain.
        min_inliers: Least number of inliers.
        contact_m: An object touches a plane that its nearest points come this close to.
        hypotheses: Number of planes tried.
        seed: Of the sampling.
    """

    inlier_m: float = 0.008
    min_inlier_share: float = 0.2
    min_inliers: int = 100
    contact_m: float = 0.03
    hypotheses: int = 150
    seed: int = 0

    def __post_init__(self) -> None:
        if self.inlier_m <= 0 or self.contact_m <= 0:
            raise ConfigError("inlier_m and contact_m must be positive")
        if not 0 < self.min_inlier_share <= 1:
            raise ConfigError(f"min_inlier_share must be in (0, 1], got {self.min_inlier_share}")
        if self.min_inliers < 3 or self.hypotheses < 1:
            raise ConfigError("min_inliers must be at least 3 and hypotheses at least 1")


def fit_support_plane(
    context_m: NDArray[np.float32],
    objects_m: NDArray[np.float32],
    object_ids: NDArray[np.integer],
    viewpoint_m: NDArray[np.float64],
    settings: PlaneSettings,
) -> Plane | None:
    """The plane under the objects, or None when no plane explains the context.

    Args:
        context_m: (C, 3) points that belong to no object, evenly spread (voxelised).
        objects_m: (N, 3) points of the objects; only used to choose between planes.
        object_ids: (N,) the object of each point; points of one object follow each other.
        viewpoint_m: (3,) the normal will point to this side.
    """
    if len(context_m) < settings.min_inliers:
        return None
    rng = np.random.default_rng(settings.seed)
    context = context_m.astype(np.float64)
    sample = context
    if len(context) > _MAX_FIT_POINTS:
        sample = context[rng.choice(len(context), _MAX_FIT_POINTS, replace=False)]
    normals, offsets = _propose(sample, viewpoint_m, settings.hypotheses, rng)
    if not len(normals):
        return None
    shares = _inlier_shares(sample, normals, offsets, settings.inlier_m)
    contact = _contact_share(objects_m, object_ids, normals, offsets, settings.contact_m)
    best = int(np.argmax(shares * (0.2 + 0.8 * contact)))
    normal, offset = _refine(
        context[:: 1 + len(context) // _MAX_REFINE_POINTS],
        normals[best],
        float(offsets[best]),
        settings.inlier_m,
    )
    explained = np.abs(context @ normal + offset) < settings.inlier_m
    if explained.sum() < settings.min_inliers or explained.mean() < settings.min_inlier_share:
        return None
    if normal @ viewpoint_m + offset < 0:
        normal, offset = -normal, -offset
    return Plane(normal, offset)


def _propose(
    points: NDArray[np.float64],
    viewpoint_m: NDArray[np.float64],
    count: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Planes through random triples, normals to the viewpoint: (K, 3) and (K,)."""
    first, second, third = points[rng.integers(0, len(points), (3, count))]
    normals = np.cross(second - first, third - first)
    lengths = np.linalg.norm(normals, axis=1)
    usable = lengths > 1e-6  # square metres: near-collinear triples give arbitrary planes
    normals = normals[usable] / lengths[usable, None]
    offsets = -np.einsum("ij,ij->i", normals, first[usable])
    signs = np.where(normals @ viewpoint_m + offsets < 0, -1.0, 1.0)
    return normals * signs[:, None], offsets * signs


def _inlier_shares(
    points: NDArray[np.float64],
    normals: NDArray[np.float64],
    offsets: NDArray[np.float64],
    inlier_m: float,
) -> NDArray[np.float64]:
    """(K,) share of the points that lie on each plane."""
    shares = np.empty(len(normals))
    columns = np.ascontiguousarray(points.T)
    for start in range(0, len(normals), _PLANES_AT_ONCE):
        some = slice(start, start + _PLANES_AT_ONCE)
        heights = normals[some] @ columns
        heights += offsets[some, None]
        np.abs(heights, out=heights)
        shares[some] = np.count_nonzero(heights < inlier_m, axis=1) / len(points)
    return shares


def _contact_share(
    objects_m: NDArray[np.float32],
    object_ids: NDArray[np.integer],
    normals: NDArray[np.float64],
    offsets: NDArray[np.float64],
    contact_m: float,
) -> NDArray[np.float64]:
    """(K,) share of objects whose lowest tenth comes within ``contact_m`` of each plane."""
    starts = np.flatnonzero(np.diff(object_ids.astype(np.int64), prepend=-1))
    if not len(starts):
        return np.ones(len(normals))
    touching = np.zeros(len(normals))
    for start, stop in pairwise((*starts, len(object_ids))):
        step = max(1, (stop - start) // _MAX_POINTS_PER_OBJECT)
        heights = normals @ objects_m[start:stop:step].T
        heights += offsets[:, None]
        tenth = heights.shape[1] // 10
        heights.partition(tenth, axis=1)
        touching += np.abs(heights[:, tenth]) < contact_m
    return touching / len(starts)


def _refine(
    points: NDArray[np.float64], normal: NDArray[np.float64], offset: float, inlier_m: float
) -> tuple[NDArray[np.float64], float]:
    """Tukey-weighted total least squares, the scale shrinking to ``inlier_m``."""
    columns = np.ascontiguousarray(points.T)
    for scale in (2.0, 1.5, 1.0, 1.0):
        ratio = (normal @ columns + offset) / (scale * inlier_m)
        weights = np.maximum(1 - ratio * ratio, 0) ** 2
        total = weights.sum()
        if total < 3:
            break
        centre = columns @ weights / total
        offsets = columns - centre[:, None]
        _, vectors = np.linalg.eigh((offsets * weights) @ offsets.T)
        flipped = vectors[:, 0] @ normal < 0
        normal = -vectors[:, 0] if flipped else vectors[:, 0]
        offset = float(-normal @ centre)
    return normal, offset
