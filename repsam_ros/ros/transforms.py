"""Transforms between the robot's frames, from tf2."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.time import Time
from scipy.spatial.transform import Rotation

from repsam_ros.errors import ConfigError, FrameError

# A frame may be through before the transform of its moment has come.
_PATIENCE_S = 0.1
_POLL_S = 0.005


class Transforms:
    """Looks transforms up.

    Args:
        purpose: The parameter that asks for it, for messages.

    Raises:
        ConfigError: tf2_ros is not installed.
    """

    def __init__(self, node: Node, purpose: str) -> None:
        try:
            import tf2_ros
        except ImportError as error:
            raise ConfigError(
                f"{purpose} needs tf2_ros, which comes with a ROS distribution and not from PyPI"
                f" ({error}); leave it empty to stay in the optical frame"
            ) from error
        self._error_types = (tf2_ros.TransformException,)
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def lookup(
        self, target: str, source: str, stamp_ns: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rotation (3, 3) and translation (3,), metres, that take points of source to target.

        Waits for a transform that is late, but not long.

        Raises:
            FrameError: ``missing_transform``.
        """
        end_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                stamped = self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp_ns))
                break
            except self._error_types as error:
                if time.monotonic() > end_s:
                    raise FrameError("missing_transform", str(error)) from error
            time.sleep(_POLL_S)
        turn, shift = stamped.transform.rotation, stamped.transform.translation
        rotation = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix()
        return rotation, np.array([shift.x, shift.y, shift.z])

    def close(self) -> None:
        """Ends the subscriptions to /tf."""
        unregister: Any = getattr(self._listener, "unregister", None)
        if unregister is not None:
            unregister()
