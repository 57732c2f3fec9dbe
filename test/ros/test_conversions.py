from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import Image, PointCloud2
from visualization_msgs.msg import Marker

from repsam_ros.errors import FrameError
from repsam_ros.messages import label_image, labels_from_image, unpack_cloud, unpack_grasps
from repsam_ros.ros.conversions import (
    candidates_message,
    cloud_message,
    grasps_message,
    image_message,
    make_header,
    plane_from_marker,
    plane_marker,
    view_pose_message,
    viewpoint_from_pose,
)
from repsam_ros.structures import Grasp, Plane, SceneCloud

STAMP_NS = 1_700_000_000_123_456_789
FRAME_ID = "optical"


def make_cloud(plane: Plane | None = None) -> SceneCloud:
    rng = np.random.default_rng(0)
    return SceneCloud(
        points_m=rng.normal(size=(50, 3)).astype(np.float32),
        colors=rng.integers(0, 256, (50, 3)).astype(np.uint8),
        instance_ids=rng.integers(0, 4, 50).astype(np.uint32),
        scores=rng.random(50).astype(np.float32),
        flags=rng.integers(0, 8, 50).astype(np.uint8),
        stamp_ns=STAMP_NS,
        frame_id=FRAME_ID,
        support_plane=plane,
        viewpoint_m=np.array([0.1, -0.2, 0.3]),
    )


def make_grasps() -> list[Grasp]:
    rng = np.random.default_rng(1)
    return [
        Grasp(rng.normal(size=3), Rotation.random(random_state=k).as_matrix(), 0.03, 0.5, k + 1)
        for k in range(5)
    ]


def test_label_map_survives_the_wire() -> None:
    labels = np.arange(12, dtype=np.uint16).reshape(3, 4) * 4000
    sent = image_message(label_image(labels), make_header(STAMP_NS, FRAME_ID))
    msg = deserialize_message(serialize_message(sent), Image)
    np.testing.assert_array_equal(labels_from_image(msg), labels)
    assert (msg.header.stamp.sec, msg.header.stamp.nanosec) == divmod(STAMP_NS, 10**9)


def test_cloud_survives_the_wire() -> None:
    cloud = make_cloud()
    msg = deserialize_message(serialize_message(cloud_message(cloud)), PointCloud2)
    back = unpack_cloud(msg, None, cloud.viewpoint_m)
    for name in ("points_m", "colors", "instance_ids", "scores", "flags", "viewpoint_m"):
        np.testing.assert_array_equal(getattr(back, name), getattr(cloud, name), err_msg=name)
    assert (back.stamp_ns, back.frame_id) == (STAMP_NS, FRAME_ID)


def test_empty_cloud_survives_the_wire() -> None:
    cloud = make_cloud()
    nothing = replace(
        cloud,
        points_m=cloud.points_m[:0],
        colors=cloud.colors[:0],
        instance_ids=cloud.instance_ids[:0],
        scores=cloud.scores[:0],
        flags=cloud.flags[:0],
    )
    msg = deserialize_message(serialize_message(cloud_message(nothing)), PointCloud2)
    assert len(unpack_cloud(msg).points_m) == 0
    assert plane_from_marker(plane_marker(nothing)) is None


def test_candidates_and_poses_hold_the_same_grasps_in_order() -> None:
    grasps = make_grasps()
    back = unpack_grasps(candidates_message(grasps, STAMP_NS, FRAME_ID))
    poses = grasps_message(grasps, STAMP_NS, FRAME_ID).poses
    for grasp, candidate, pose in zip(grasps, back, poses, strict=True):
        np.testing.assert_allclose(candidate.position_m, grasp.position_m, atol=1e-6)
        np.testing.assert_allclose(candidate.rotation, grasp.rotation, atol=1e-6)
        turn = pose.orientation
        rotation = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix()
        np.testing.assert_allclose(rotation, grasp.rotation, atol=1e-9)
        assert candidate.instance_id == grasp.instance_id


unit_range = st.floats(-1, 1, allow_nan=False)


@given(st.tuples(unit_range, unit_range, unit_range), st.floats(-3, 3))
def test_plane_survives_the_marker(direction: tuple[float, float, float], offset_m: float) -> None:
    length = np.linalg.norm(direction)
    if length < 1e-3:
        return
    plane = Plane(np.array(direction) / length, offset_m)
    back = plane_from_marker(plane_marker(make_cloud(plane)))
    assert back is not None
    np.testing.assert_allclose(back.normal, plane.normal, atol=1e-7)
    assert back.offset_m == pytest.approx(offset_m, abs=1e-6)


def test_marker_without_rotation_is_refused() -> None:
    marker = plane_marker(make_cloud(Plane(np.array([0.0, 0.0, -1.0]), 0.8)))
    marker.pose.orientation.w = marker.pose.orientation.x = 0.0
    marker.pose.orientation.y = marker.pose.orientation.z = 0.0
    with pytest.raises(FrameError, match="no rotation"):
        plane_from_marker(marker)


def test_plane_lies_under_the_objects() -> None:
    cloud = make_cloud(Plane(np.array([0.0, 0.0, -1.0]), 0.8))
    for ids in (cloud.instance_ids, np.zeros_like(cloud.instance_ids)):
        cloud = replace(cloud, instance_ids=ids)
        near_m = cloud.points_m[ids > 0] if ids.any() else cloud.points_m
        origin = plane_marker(cloud).pose.position
        expected = [*near_m.mean(axis=0, dtype=np.float64)[:2], 0.8]
        np.testing.assert_allclose([origin.x, origin.y, origin.z], expected, atol=1e-6)


def test_a_missing_plane_is_deleted() -> None:
    marker = plane_marker(make_cloud())
    assert marker.action == Marker.DELETE
    assert plane_from_marker(marker) is None


def test_viewpoint_survives_the_pose() -> None:
    cloud = make_cloud()
    np.testing.assert_array_equal(viewpoint_from_pose(view_pose_message(cloud)), cloud.viewpoint_m)
