"""The box that a robot works in."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from repsam_ros.errors import ConfigError
from repsam_ros.structures import SceneCloud


@dataclass(frozen=True)
class WorkspaceSettings:
    """A box along the axes of the cloud's frame: the target frame, else the optical frame.

    Attributes:
        enabled: Without it nothing is left out.
        low_m: Least x, y, z, metres.
        high_m: Greatest x, y, z, metres.
    """

    enabled: bool = False
    low_m: tuple[float, float, float] = (-1.0, -1.0, -1.0)
    high_m: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if not np.less(self.low_m, self.high_m).all():
            raise ConfigError(
                f"workspace: low_m {list(self.low_m)} must lie below high_m {list(self.high_m)}"
            )


def cropped(cloud: SceneCloud, settings: WorkspaceSettings) -> SceneCloud:
    """The cloud in the workspace.

    An object whose mean lies inside stays whole; half an object would be grasped where the other
    half is in the way. Any other object becomes context, of which only the part inside stays.
    """
    if not settings.enabled or not len(cloud.points_m):
        return cloud
    low_m, high_m = np.array(settings.low_m), np.array(settings.high_m)
    counts = np.maximum(np.bincount(cloud.instance_ids), 1)
    means_m = np.stack(
        [np.bincount(cloud.instance_ids, axis) / counts for axis in cloud.points_m.T], axis=1
    )
    is_target = np.all((means_m >= low_m) & (means_m <= high_m), axis=1)
    is_target &= np.arange(len(is_target)) > 0
    of_target = is_target[cloud.instance_ids]
    inside = np.all((cloud.points_m >= low_m) & (cloud.points_m <= high_m), axis=1)
    keep = of_target | inside
    of_target = of_target[keep]
    return replace(
        cloud,
        points_m=cloud.points_m[keep],
        colors=cloud.colors[keep],
        instance_ids=np.where(of_target, cloud.instance_ids[keep], 0).astype(np.uint32),
        scores=np.where(of_target, cloud.scores[keep], 0).astype(np.float32),
        flags=np.where(of_target, cloud.flags[keep], 0).astype(np.uint8),
    )
