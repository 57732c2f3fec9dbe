"""Collects what the nodes publish."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2

from repsam_ros.errors import FrameError
from repsam_ros.messages import labels_from_image, stamp_to_ns, unpack_cloud, unpack_grasps
from repsam_ros.ros.qos import input_qos
from repsam_ros.structures import Grasp, SceneCloud

_QUEUE = 50


class Recorder:
    """Subscribes, reliable, to the results of a perception node and of a grasp planner.

    The callbacks run in the node's thread; nothing but stamps is kept here.

    Args:
        perception: Full name of the perception node.
        on_labels: Gets each label map with its stamp.
        on_cloud: Gets each cloud, without its plane.
        planner: Full name of the planner node, None where there is none.
        on_grasps: Gets the grasps on each cloud with its stamp, best first.

    Attributes:
        label_stamps_ns: In order of arrival.
        grasp_stamps_ns: In order of arrival.
        broken: What could not be decoded.
    """

    def __init__(
        self,
        node: Node,
        perception: str,
        on_labels: Callable[[int, NDArray[np.uint16]], None],
        on_cloud: Callable[[SceneCloud], None],
        planner: str | None = None,
        on_grasps: Callable[[int, list[Grasp]], None] = lambda stamp_ns, grasps: None,
    ) -> None:
        self._on_labels, self._on_cloud, self._on_grasps = on_labels, on_cloud, on_grasps
        self.label_stamps_ns: list[int] = []
        self.grasp_stamps_ns: list[int] = []
        self.broken: list[str] = []
        self._subscribe(node, Image, f"{perception}/labels", self._take_labels)
        self._subscribe(node, PointCloud2, f"{perception}/points", self._take_cloud)
        if planner is not None:
            topic = f"{planner}/grasp_candidates"
            self._subscribe(node, PointCloud2, topic, self._take_grasps)

    def _subscribe(self, node: Node, kind: type, topic: str, take: Callable[[Any], None]) -> None:
        def guarded(msg: Any) -> None:
            try:
                take(msg)
            except FrameError as error:
                self.broken.append(f"{topic}: {error}")

        node.create_subscription(kind, topic, guarded, input_qos("reliable", _QUEUE))

    def _take_labels(self, msg: Image) -> None:
        stamp_ns = stamp_to_ns(msg.header.stamp)
        self._on_labels(stamp_ns, labels_from_image(msg))
        self.label_stamps_ns.append(stamp_ns)

    def _take_cloud(self, msg: PointCloud2) -> None:
        self._on_cloud(unpack_cloud(msg))

    def _take_grasps(self, msg: PointCloud2) -> None:
        stamp_ns = stamp_to_ns(msg.header.stamp)
        self._on_grasps(stamp_ns, unpack_grasps(msg))
        self.grasp_stamps_ns.append(stamp_ns)
