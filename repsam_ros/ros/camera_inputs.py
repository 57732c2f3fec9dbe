"""Subscriptions to a camera's topics."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from repsam_ros.messages.compressed import TRANSPORT_SUFFIXES
from repsam_ros.perception.frame_inbox import CompleteFrame, FrameInbox
from repsam_ros.ros.qos import input_qos

if TYPE_CHECKING:
    from repsam_ros.perception.sync import Stream
    from repsam_ros.ros.managed_node import ManagedNode

IMAGES: dict[Stream, str] = {
    "depth": "aligned_depth_to_color/image_raw",
    "color": "color/image_raw",
}
CAMERA_INFO = "color/camera_info"


def subscribe_camera(node: ManagedNode, on_frame: Callable[[CompleteFrame], None]) -> FrameInbox:
    """Subscribes to colour, depth and camera info until the node is deactivated.

    A compressed topic lies below the raw one, whatever that is remapped to, as image_transport
    has it.
    """
    depth_info_topic = node.value("depth_info_topic")
    inbox = FrameInbox(
        on_frame,
        round(node.value("slop_s") * 1e9),
        node.value("sync_queue"),
        has_depth_info=bool(depth_info_topic),
    )
    qos = input_qos(node.value("qos.reliability"), node.value("qos.depth"))
    # Served in this order when several wait: the infos are there before their images.
    node.add_input("camera_info", CameraInfo, CAMERA_INFO, qos, inbox.add_info)
    if depth_info_topic:
        node.add_input("depth_info", CameraInfo, depth_info_topic, qos, inbox.add_depth_info)
    for stream, topic in IMAGES.items():
        msg_type: Any = Image
        if node.value(f"{stream}_transport") == "compressed":
            msg_type = CompressedImage
            topic = f"{node.resolve_topic_name(topic)}/{TRANSPORT_SUFFIXES[stream]}"
        node.add_input(stream, msg_type, topic, qos, partial(inbox.add_image, stream))
    return inbox
