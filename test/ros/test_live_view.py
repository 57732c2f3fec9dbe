"""What the nodes publish reaches the page, over real topics."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sensor_msgs.msg import Image, PointCloud2

pytest.importorskip("viser", reason="needs the extra 'viewer'")

from repsam_ros.browser_view import BrowserView
from repsam_ros.messages import color_image
from repsam_ros.ros.conversions import candidates_message, cloud_message, image_message, make_header
from repsam_ros.ros.live_view import subscribe_view
from repsam_ros.ros.qos import output_qos
from repsam_ros.ros.session import Session, environment_set, private_environment
from repsam_ros.structures import Grasp, SceneCloud

pytestmark = pytest.mark.ros

FRAME = "camera"


@pytest.fixture
def view() -> Iterator[BrowserView]:
    shown = BrowserView(port=0)
    yield shown
    shown.close()


def test_masks_clouds_and_grasps_are_shown(view: BrowserView) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    points_m = np.zeros((30, 3), np.float32)
    ids = np.repeat(np.array([0, 1, 2], np.uint32), 10)
    flags, scores = np.zeros(30, np.uint8), np.ones(30, np.float32)
    colors = np.zeros((30, 3), np.uint8)
    cloud = SceneCloud(
        points_m, colors, ids, scores, flags, 5_000_000_000, FRAME, None, np.zeros(3)
    )
    grasps = [Grasp(np.zeros(3), np.eye(3), 0.05, 0.5, 1)]
    with environment_set(private_environment()), Session("view_test") as session:
        node = session.node
        subscribe_view(node, "/repsam", view)
        messages = {
            "perception/debug_image": image_message(color_image(picture), make_header(5, FRAME)),
            "perception/points": cloud_message(cloud),
            "grasp_planner/grasp_candidates": candidates_message(grasps, 5, FRAME),
        }
        for name, msg in messages.items():
            kind = Image if isinstance(msg, Image) else PointCloud2
            publisher = node.create_publisher(kind, f"/repsam/{name}", output_qos(1))
            session.wait_until(publisher.get_subscription_count, 60, name)
            publisher.publish(msg)
        session.wait_until(
            lambda: "2 objects, 30 points, 5.000 s" in view._state.content,
            60,
            "the page",
        )
        session.wait_until(lambda: np.array_equal(view._picture.image, picture), 60, "the picture")
        # A message that cannot be decoded is named and costs nothing more.
        broken = cloud_message(cloud)
        broken.fields = broken.fields[1:]
        publisher = node.create_publisher(PointCloud2, "/repsam/perception/points", output_qos(1))
        session.wait_until(publisher.get_subscription_count, 60, "points")
        publisher.publish(broken)
        cloud_again = cloud_message(cloud)
        cloud_again.header.stamp.sec = 6
        publisher.publish(cloud_again)
        session.wait_until(lambda: "6.000 s" in view._state.content, 60, "the next cloud")
