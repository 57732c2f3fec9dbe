"""One object as the planner sees it: points, normals and the surface points to try."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from repsam_ros.grasping.normals import estimate_normals
from repsam_ros.grasping.settings import SearchSettings
from repsam_ros.structures import SceneCloud

_OUTLINE_POINTS = 100
# Fewer points than one in so many would leave gaps that a finger seems to fit into.
_MOST_THINNED = 8


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


def find_targets(
    cloud: SceneCloud, wanted: Collection[int] | None, settings: SearchSettings
) -> dict[int, Target]:
    """The wanted objects by id, all when None, but those that are seen too little of."""
    rows = np.flatnonzero(cloud.instance_ids > 0)
    if wanted is not None:
        rows = rows[np.isin(cloud.instance_ids[rows], list(wanted))]
    rows = rows[np.argsort(cloud.instance_ids[rows], kind="stable")]
    ids, points_m = cloud.instance_ids[rows], cloud.points_m[rows]
    normals = estimate_normals(points_m, ids, cloud.viewpoint_m, settings.normal_radius_m)
    found, starts = np.unique(ids, return_index=True)
    return {
        int(instance_id): _target(int(instance_id), points, its_normals, cloud, settings)
        for instance_id, points, its_normals in zip(
            found, np.split(points_m, starts[1:]), np.split(normals, starts[1:]), strict=False
        )
        if len(points) >= max(settings.min_points, 4)
    }


def _target(
    instance_id: int,
    seen_m: NDArray[np.float32],
    normals: NDArray[np.float64],
    cloud: SceneCloud,
    settings: SearchSettings,
) -> Target:
    rng = np.random.default_rng((settings.seed, instance_id))
    # Clouds are stored voxel by voxel, so one pick from each stretch spreads over the object.
    count = min(len(seen_m), settings.max_points_per_object)
    keep = np.linspace(0, len(seen_m) - 1, count).astype(np.intp)
    step = -(-count // max(_OUTLINE_POINTS, len(seen_m) // _MOST_THINNED))
    outline = -(-count // step)
    edges = np.linspace(0, outline, min(settings.samples_per_object, outline) + 1)
    samples = (edges[:-1] + rng.random(len(edges) - 1) * np.diff(edges)).astype(np.intp) * step
    centroid_m = seen_m.mean(axis=0, dtype=np.float64)
    view = centroid_m - cloud.viewpoint_m
    return Target(
        instance_id=instance_id,
        points_m=seen_m[keep].astype(np.float64),
        normals=normals[keep],
        samples=samples,
        step=step,
        centroid_m=centroid_m,
        view=view / max(float(np.linalg.norm(view)), 1e-9),
    )
