"""Moves clouds into a fixed frame of the robot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.time import Time
from scipy.spatial.transform import Rotation

from repsam_ros.errors import ConfigError, FrameError
from repsam_ros.structures import Plane, SceneCloud


class TargetFrame:
    """Looks transforms up at the stamp of each cloud.

    Raises:
        ConfigError: tf2_ros is not installed.
    """

    def __init__(self, node: Node, frame_id: str) -> None:
        try:
            import tf2_ros
        except ImportError as error:
            raise ConfigError(
                f"target_frame {frame_id!r} needs tf2_ros, which comes with a ROS distribution"
                " and not from PyPI; leave target_frame empty to stay in the optical frame"
            ) from error
        self._frame_id = frame_id
        self._error_types = (tf2_ros.TransformException,)
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def move(self, cloud: SceneCloud) -> SceneCloud:
        """The cloud in the target frame.

        Raises:
            FrameError: ``missing_transform``.
        """
        try:
            stamped = self._buffer.lookup_transform(
                self._frame_id, cloud.frame_id, Time(nanoseconds=cloud.stamp_ns)
            )
        except self._error_types as error:
            raise FrameError("missing_transform", str(error)) from error
        turn, shift = stamped.transform.rotation, stamped.transform.translation
        rotation = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix()
        return moved(cloud, self._frame_id, rotation, np.array([shift.x, shift.y, shift.z]))

    def close(self) -> None:
        """Ends the subscription to /tf."""
        unregister: Any = getattr(self._listener, "unregister", None)
        if unregister is not None:
            unregister()


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
