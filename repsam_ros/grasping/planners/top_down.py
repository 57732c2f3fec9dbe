"""Baseline: straight down over the middle of the object, closing across its narrow side.

The hand goes round all that is seen of the object; surfaces and what is hidden play no part. Of
several rolls and depths those that hit nothing are returned, the narrowest first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError
from repsam_ros.grasping.collisions import Obstacles, find_obstacles, least_height_m
from repsam_ros.grasping.orientations import perpendicular
from repsam_ros.grasping.planners import Planner, PlanResult
from repsam_ros.grasping.rejections import reject
from repsam_ros.grasping.search import plan_each
from repsam_ros.grasping.selection import IsLate
from repsam_ros.grasping.settings import HandSettings
from repsam_ros.structures import Grasp, SceneCloud


@dataclass(frozen=True)
class Config(HandSettings):
    """Settings of the top-down planner.

    Attributes:
        rolls: Closing directions, evenly over half a turn.
        depths_m: How far the finger tips reach below the object's highest point.
    """

    rolls: int = 16
    depths_m: tuple[float, ...] = (0.03, 0.02, 0.01)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rolls < 1 or not self.depths_m or min(self.depths_m) <= 0:
            raise ConfigError("rolls and depths_m must be positive")


def build(config: Config) -> Planner:
    def plan(cloud: SceneCloud, targets: Collection[int] | None = None) -> PlanResult:
        obstacles = find_obstacles(cloud, config)

        def plan_one(instance_id: int, rejected: Counter[str], is_late: IsLate) -> list[Grasp]:
            points_m = cloud.points_m[cloud.instance_ids == instance_id].astype(np.float64)
            if len(points_m) < config.min_points:
                rejected["too_small"] += 1
                return []
            return _plan_object(cloud, points_m, instance_id, obstacles, config, rejected)

        return plan_each(cloud, targets, config, plan_one)

    return plan


def _plan_object(
    cloud: SceneCloud,
    points_m: NDArray[np.float64],
    instance_id: int,
    obstacles: Obstacles,
    config: Config,
    rejected: Counter[str],
) -> list[Grasp]:
    plane = cloud.support_plane
    view = points_m.mean(axis=0) - cloud.viewpoint_m
    down = view / max(float(np.linalg.norm(view)), 1e-9) if plane is None else -plane.normal
    positions_m, rotations, parts_m = _hands(points_m, down, config)
    openings_m = obstacles.openings_m(positions_m, rotations, parts_m)
    reasons = {
        "too_wide": parts_m > config.max_width_m,
        "workspace": ~config.in_workspace(positions_m),
    }
    if plane is not None:
        least_m = config.opening_m(parts_m)
        height_m = least_height_m(positions_m, rotations, least_m, plane, config.gripper)
        reasons["table"] = height_m < config.table_clearance_m
    widths_m = obstacles.free_opening_m(positions_m, rotations, openings_m, instance_id)
    reasons["collision"] = np.isnan(widths_m)
    free = np.flatnonzero(reject(reasons, rejected))[: config.max_grasps_per_object]
    return [
        Grasp(
            position_m=positions_m[index],
            rotation=rotations[index],
            width_m=float(widths_m[index]),
            score=float(1 - parts_m[index] / config.gripper.opening_m),
            instance_id=instance_id,
        )
        for index in free
    ]


def _hands(
    points_m: NDArray[np.float64], down: NDArray[np.float64], config: Config
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(C, 3) tool centre points, (C, 3, 3) rotations and (C,) widths, the narrowest first."""
    rotations = _turned_about(down, config.rolls)
    local_m = points_m @ rotations  # (rolls, N, 3)
    low_m, high_m = local_m.min(axis=1), local_m.max(axis=1)
    narrowest = np.argsort(high_m[:, 1] - low_m[:, 1], kind="stable")
    roll, depth_m = (
        grid.ravel() for grid in np.meshgrid(narrowest, config.depths_m, indexing="ij")
    )
    centre_m = (low_m + high_m)[roll] / 2
    centre_m[:, 2] = low_m[roll, 2] + depth_m - config.gripper.tip_m
    positions_m = np.einsum("cij,cj->ci", rotations[roll], centre_m)
    return positions_m, rotations[roll], (high_m - low_m)[roll, 1]


def _turned_about(down: NDArray[np.float64], rolls: int) -> NDArray[np.float64]:
    """(rolls, 3, 3) hands that come along ``down``."""
    first, second = perpendicular(down[None])
    angle = np.arange(rolls)[:, None] * (np.pi / rolls)
    closing = np.cos(angle) * first + np.sin(angle) * second
    approach = np.broadcast_to(down, closing.shape)
    return np.stack((np.cross(closing, approach), closing, approach), axis=-1)
