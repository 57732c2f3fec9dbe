"""Subscriptions to what others say about the frames: ignore mask and prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from geometry_msgs.msg import PointStamped, PolygonStamped
from sensor_msgs.msg import Image

from repsam_ros.errors import FrameError
from repsam_ros.messages import mask_from_image
from repsam_ros.perception.hints import HintStore
from repsam_ros.ros.qos import input_qos

if TYPE_CHECKING:
    from repsam_ros.ros.managed_node import ManagedNode


def subscribe_hints(node: ManagedNode) -> HintStore:
    """Subscribes until the node is deactivated; then what was said is forgotten.

    A topic has one type in ROS 2, so that a click and a polygon come on two.
    """
    hints = HintStore(lambda cause, text: node.warn_sometimes(cause, f"not used: {cause}: {text}"))

    def on_mask(msg: Any) -> None:
        try:
            hints.add_mask(mask_from_image(msg), msg.header.frame_id)
        except FrameError as error:
            hints.reject(f"ignore_mask_{error.cause}", str(error))

    def on_point(msg: Any) -> None:
        if msg.point.z:  # as RViz publishes points: metres
            text = f"prompt: z is {msg.point.z:g}; x and y are pixels, and z has to be 0"
            hints.reject("bad_prompt", text)
            return
        outline_px = np.array([[msg.point.x, msg.point.y]], np.float32)
        hints.add_outline(outline_px, msg.header.frame_id)

    def on_polygon(msg: Any) -> None:
        corners = [[point.x, point.y] for point in msg.polygon.points]
        outline_px = np.array(corners, np.float32).reshape(-1, 2)
        hints.add_outline(outline_px, msg.header.frame_id)

    latched = node.value("qos.ignore_mask_latched")
    mask_qos = input_qos(
        "reliable" if latched else node.value("qos.reliability"), 1, latched=latched
    )
    node.add_input("ignore_mask", Image, "ignore_mask", mask_qos, on_mask, may_be_silent=True)
    qos = input_qos("reliable", 1)
    node.add_input("prompt", PointStamped, "~/prompt", qos, on_point, may_be_silent=True)
    node.add_input(
        "prompt_polygon", PolygonStamped, "~/prompt_polygon", qos, on_polygon, may_be_silent=True
    )
    return hints
