"""What people look at: pictures and markers, made only while someone does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image
from visualization_msgs.msg import Marker, MarkerArray

from repsam_ros.messages import color_from_image, stamp_to_ns

pytestmark = pytest.mark.ros


def test_overlay_and_boxes_belong_to_the_frame_and_end_with_their_listener(
    perception: Any, scene: Any
) -> None:
    pictures: dict[int, np.ndarray] = {}
    markers: list[MarkerArray] = []

    def on_picture(msg: Image) -> None:
        pictures[stamp_to_ns(msg.header.stamp)] = color_from_image(msg)

    node = perception.session.node
    listeners = [
        node.create_subscription(Image, "/perception/debug_image", on_picture, 20),
        node.create_subscription(MarkerArray, "/perception/markers", markers.append, 20),
    ]
    watched = ("subscribers_debug_image", "subscribers_markers")
    perception.await_values(
        lambda values: all(values.get(key) == "1" for key in watched), "listeners"
    )
    stamp_ns = perception.publish_frame()
    _, labels = perception.await_labels(stamp_ns)
    perception.wait_until(lambda: stamp_ns in pictures and bool(markers), "overlay and boxes")
    changed = (pictures[stamp_ns] != scene.color).any(axis=2)
    assert changed[labels > 0].mean() > 0.9, "objects are tinted"
    shown = [item for item in markers[-1].markers if item.action == Marker.ADD]
    assert len(shown) >= labels.max()
    assert {stamp_to_ns(item.header.stamp) for item in shown} == {stamp_ns}

    for listener in listeners:
        node.destroy_subscription(listener)
    perception.await_values(
        lambda values: all(values.get(key) == "0" for key in watched), "that nobody listens"
    )
    perception.await_labels(perception.publish_frame())
    assert len(pictures) == 1
