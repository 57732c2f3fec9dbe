"""Clouds in the robot's frame, with the real tf2 where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.qos import QoSProfile, ReliabilityPolicy
from scipy.spatial.transform import Rotation
from visualization_msgs.msg import Marker

from repsam_ros.perception.pipeline import open_pipeline
from repsam_ros.perception.placement import moved
from repsam_ros.ros.conversions import plane_from_marker, viewpoint_from_pose
from repsam_ros.structures import RgbdFrame

pytestmark = pytest.mark.ros
pytest.importorskip("tf2_ros", reason="needs tf2_ros, which a ROS distribution brings")

# The camera looks down and 20 degrees to the side; the world is level.
BASE_FROM_CAMERA = Rotation.from_euler("xy", (180, 20), degrees=True)
SHIFT_M = np.array([0.4, -0.1, 0.9])
WORLD_FROM_BASE = Rotation.from_euler("x", 5, degrees=True)


def static_transform(parent: str, child: str, turn: Rotation, shift_m: np.ndarray) -> Any:
    msg = TransformStamped(child_frame_id=child)
    msg.header.frame_id = parent
    target = msg.transform
    target.rotation.x, target.rotation.y, target.rotation.z, target.rotation.w = turn.as_quat()
    target.translation.x, target.translation.y, target.translation.z = shift_m.tolist()
    return msg


def test_points_move_to_the_target_frame_and_the_plane_becomes_level(
    rig: Any, scene: RgbdFrame
) -> None:
    from tf2_ros import StaticTransformBroadcaster

    rig.start_perception(target_frame="base_link", gravity_frame="world")
    planes: list[Marker] = []
    poses: list[PoseStamped] = []
    reliable = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
    rig.session.node.create_subscription(
        Marker, "/perception/support_plane", planes.append, reliable
    )
    rig.session.node.create_subscription(
        PoseStamped, "/perception/view_pose", poses.append, reliable
    )
    rig.session.bring_up(rig.node_name)
    rig.listen()
    rig.connect()
    rig.publish_frame()
    rig.await_values(
        lambda values: values.get("dropped.missing_transform") == "1", "the missing transform"
    )
    broadcaster = StaticTransformBroadcaster(rig.session.node)
    broadcaster.sendTransform(
        [
            static_transform("base_link", scene.frame_id, BASE_FROM_CAMERA, SHIFT_M),
            static_transform("world", "base_link", WORLD_FROM_BASE, np.zeros(3)),
        ]
    )

    def arrives() -> bool:
        # Static transforms come on a topic of their own: the next frame may still be too early.
        stamp_ns = rig.publish_frame()
        rig.await_idle()
        return stamp_ns in rig.clouds

    rig.wait_until(arrives, "a cloud in the target frame")
    cloud = rig.clouds[max(rig.clouds)]
    expected = moved(
        open_pipeline(threads=1).perceive(scene).cloud,
        "base_link",
        BASE_FROM_CAMERA.as_matrix(),
        SHIFT_M,
    )
    assert cloud.frame_id == "base_link"
    np.testing.assert_allclose(cloud.points_m, expected.points_m, atol=1e-5)
    np.testing.assert_array_equal(cloud.instance_ids, expected.instance_ids)
    rig.wait_until(lambda: planes and poses, "the support plane and the view pose")
    turn = poses[-1].pose.orientation
    seen = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w])
    assert (seen.inv() * BASE_FROM_CAMERA).magnitude() == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(viewpoint_from_pose(poses[-1]), SHIFT_M)
    plane = plane_from_marker(planes[-1])
    assert plane is not None and planes[-1].header.frame_id == "base_link"
    up = WORLD_FROM_BASE.as_matrix()[2]
    np.testing.assert_allclose(plane.normal, up, atol=1e-6)
    objects_m = expected.points_m[expected.instance_ids > 0]
    assert plane.height_m(objects_m.mean(axis=0)) == pytest.approx(0.05, abs=0.02)
