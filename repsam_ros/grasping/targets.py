"""One object as the planner sees it: points, normals and the surface points to try."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from repsam_ros.grasping.settings import SearchSettings
from repsam_ros.structures import SceneCloud

_NORMAL_NEIGHBORS = 20
_OUTLINE_POINTS = 250


@dataclass(frozen=True)
class Target:
    """One object.

    Attributes:
        points_m: (N, 3) float64.
        normals: (N, 3) float64, unit, towards the viewpoint.
        samples: (S,) indices of the points that candidates start from; multiples of ``step``.
        step: Every ``step``-th point still outlines the object.
        centroid_m: (3,) float64, mean of what is seen of the object.
        view: (3,) float64, unit, from the viewpoint to the centroid.
    """

    instance_id: int
    points_m: NDArray[np.float64]
    normals: NDArray[np.float64]
    samples: NDArray[np.intp]
    step: int
    centroid_m: NDArray[np.float64]
    view: NDArray[np.float64]


def make_target(cloud: SceneCloud, instance_id: int, settings: SearchSettings) -> Target | None:
    """The object with this id, or None when too little of it is seen to have a surface."""
    seen_m = cloud.points_m[cloud.instance_ids == instance_id].astype(np.float64)
    if len(seen_m) < max(settings.min_points, 4):
        return None
    rng = np.random.default_rng((settings.seed, instance_id))
    # Clouds are stored voxel by voxel, so one pick from each stretch spreads over the object.
    points_m = seen_m
    if len(seen_m) > settings.max_points_per_object:
        keep = np.linspace(0, len(seen_m) - 1, settings.max_points_per_object).astype(np.intp)
        points_m = seen_m[keep]
    step = max(1, len(points_m) // _OUTLINE_POINTS)
    outline = -(-len(points_m) // step)
    count = min(settings.samples_per_object, outline)
    edges = np.linspace(0, outline, count + 1)
    samples = (edges[:-1] + rng.random(count) * np.diff(edges)).astype(np.intp) * step
    centroid_m = seen_m.mean(axis=0)
    view = centroid_m - cloud.viewpoint_m
    return Target(
        instance_id=instance_id,
        points_m=points_m,
        normals=estimate_normals(points_m, cloud.viewpoint_m, settings.normal_radius_m),
        samples=samples,
        step=step,
        centroid_m=centroid_m,
        view=view / max(float(np.linalg.norm(view)), 1e-9),
    )


def estimate_normals(
    points_m: NDArray[np.float64], viewpoint_m: NDArray[np.float64], radius_m: float
) -> NDArray[np.float64]:
    """(N, 3) unit normals: least principal axis of the neighbours in ``radius_m``, to the camera.

    A point without neighbours gets the direction to the viewpoint.
    """
    count = min(_NORMAL_NEIGHBORS, len(points_m))
    distances, neighbors = cKDTree(points_m).query(
        points_m, k=np.arange(1, count + 1), distance_upper_bound=radius_m
    )
    present = np.isfinite(distances)
    weights = present / present.sum(axis=1, keepdims=True)
    around = points_m[np.where(present, neighbors, 0)] - points_m[:, None]
    mean = np.einsum("nk,nkd->nd", weights, around)
    around -= mean[:, None]
    covariance = np.matmul((around * weights[..., None]).transpose(0, 2, 1), around)
    normals: NDArray[np.float64] = np.linalg.eigh(covariance)[1][:, :, 0]
    to_camera = viewpoint_m - points_m
    to_camera /= np.maximum(np.linalg.norm(to_camera, axis=1, keepdims=True), 1e-9)
    normals = np.where(present.sum(axis=1, keepdims=True) < 3, to_camera, normals)
    away = np.einsum("nd,nd->n", normals, to_camera) < 0
    return np.where(away[:, None], -normals, normals)
