"""A cloud in another frame, and with a level plane where it is known which way is down."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from repsam_ros.structures import Plane, SceneCloud

# Of an object's points, the share that may lie below it: noise.
_LOWEST_PERCENTILE = 1.0


def moved(
    cloud: SceneCloud,
    frame_id: str,
    rotation: NDArray[np.float64],
    translation_m: NDArray[np.float64],
) -> SceneCloud:
    """The cloud in ``frame_id``, where ``p' = rotation p + translation_m``."""
    plane = cloud.support_plane
    if plane is not None:
        normal = rotation @ plane.normal
        plane = Plane(normal, plane.offset_m - float(normal @ translation_m))
    points_m = cloud.points_m.astype(np.float64) @ rotation.T + translation_m
    return replace(
        cloud,
        points_m=points_m.astype(np.float32),
        frame_id=frame_id,
        support_plane=plane,
        viewpoint_m=rotation @ cloud.viewpoint_m + translation_m,
    )


def levelled(cloud: SceneCloud, up: NDArray[np.float64]) -> SceneCloud:
    """The cloud with a level support plane.

    It passes through the point of the fitted plane under the middle of the objects; where no
    plane was found, through the lowest point of the objects, and without any it stays unknown.

    Args:
        up: (3,) unit vector against gravity, in the cloud's frame.
    """
    points_m, plane = cloud.points_m.astype(np.float64), cloud.support_plane
    objects_m = points_m[cloud.instance_ids > 0]
    if plane is not None and len(points_m):
        middle_m = (objects_m if len(objects_m) else points_m).mean(axis=0)
        origin_m = middle_m - plane.height_m(middle_m) * plane.normal
        height_m = float(origin_m @ up)
    elif len(objects_m):
        height_m = float(np.percentile(objects_m @ up, _LOWEST_PERCENTILE))
    else:
        return cloud
    return replace(cloud, support_plane=Plane(np.asarray(up, np.float64), -height_m))
