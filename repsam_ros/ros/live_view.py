"""Shows what the nodes publish in a web browser."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2

from repsam_ros.browser_view import BrowserView
from repsam_ros.errors import FrameError
from repsam_ros.messages import color_from_image, unpack_cloud, unpack_grasps
from repsam_ros.ros.qos import input_qos
from repsam_ros.ros.session import Session

_logger = logging.getLogger(__name__)


def view_nodes(namespace: str, view: BrowserView, stop: threading.Event) -> None:
    """Shows the nodes of ``namespace`` until ``stop`` is set."""
    space = f"/{namespace.strip('/')}" if namespace.strip("/") else ""
    with Session("repsam_view") as session:
        subscribe_view(session.node, space, view)
        while not stop.wait(0.2):
            session.check()


def subscribe_view(node: Node, space: str, view: BrowserView) -> None:
    """Takes the newest masks, clouds and grasps; older ones are dropped where a browser lags."""
    shown: list[tuple[type, str, Callable[[Any], None]]] = [
        (
            Image,
            "perception/debug_image",
            lambda msg: view.show_masks(color_from_image(msg)),
        ),
        (PointCloud2, "perception/points", lambda msg: view.show_cloud(unpack_cloud(msg))),
        (
            PointCloud2,
            "grasp_planner/grasp_candidates",
            lambda msg: view.show_grasps(unpack_grasps(msg)),
        ),
    ]
    for kind, name, show in shown:
        node.create_subscription(
            kind, f"{space}/{name}", _guarded(name, show), input_qos("reliable", 1)
        )


def _guarded(name: str, show: Callable[[Any], None]) -> Callable[[Any], None]:
    def take(msg: Any) -> None:
        try:
            show(msg)
        except FrameError as error:
            _logger.warning("%s: %s", name, error)

    return take
