"""Between the package's data types and ROS messages; every pair of directions in one place."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseArray, PoseStamped, Quaternion
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from repsam_ros.errors import FrameError
from repsam_ros.messages import (
    Field,
    cloud_fields,
    grasp_fields,
    ns_to_stamp,
    pack_cloud,
    pack_grasps,
    point_cloud,
)
from repsam_ros.structures import Grasp, Plane, SceneCloud

PLANE_NAMESPACE = "support_plane"
_PLANE_SIZE_M = (0.8, 0.8, 0.001)


def make_header(stamp_ns: int, frame_id: str) -> Header:
    """A header with this stamp and frame."""
    header = Header(frame_id=frame_id)
    header.stamp.sec, header.stamp.nanosec = ns_to_stamp(stamp_ns)
    return header


def image_message(fields: Mapping[str, Any], header: Header) -> Image:
    """An Image from the fields that :mod:`repsam_ros.messages` makes."""
    return _fill(Image(header=header), fields)


def cloud_message(cloud: SceneCloud) -> PointCloud2:
    """``~/points`` of a cloud."""
    return _rows_message(pack_cloud(cloud), cloud_fields(), cloud.stamp_ns, cloud.frame_id)


def candidates_message(grasps: Sequence[Grasp], stamp_ns: int, frame_id: str) -> PointCloud2:
    """``~/grasp_candidates``: one row per grasp, in their order."""
    return _rows_message(pack_grasps(grasps), grasp_fields(), stamp_ns, frame_id)


def grasps_message(grasps: Sequence[Grasp], stamp_ns: int, frame_id: str) -> PoseArray:
    """``~/grasps``: poses of the grasp frame, in their order."""
    poses = [make_pose(grasp.position_m, grasp.rotation) for grasp in grasps]
    return PoseArray(header=make_header(stamp_ns, frame_id), poses=poses)


def view_pose_message(
    cloud: SceneCloud, rotation: NDArray[np.float64] | None = None
) -> PoseStamped:
    """``~/view_pose``: the camera's optical frame in the cloud's.

    Args:
        rotation: (3, 3), from the optical frame to the cloud's; None = they are one.
    """
    header = make_header(cloud.stamp_ns, cloud.frame_id)
    if rotation is None:
        return PoseStamped(header=header, pose=Pose(position=make_point(cloud.viewpoint_m)))
    return PoseStamped(header=header, pose=make_pose(cloud.viewpoint_m, rotation))


def viewpoint_from_pose(msg: PoseStamped) -> NDArray[np.float64]:
    """(3,) position of the camera, metres."""
    position = msg.pose.position
    return np.array([position.x, position.y, position.z], dtype=np.float64)


def plane_marker(cloud: SceneCloud) -> Marker:
    """``~/support_plane``: a thin plate whose z axis is the plane's normal, its origin on it.

    shape_msgs/Plane has neither stamp nor frame, so a planner could not tell which cloud it
    belongs to. A cloud without a plane gives the action DELETE.
    """
    header = make_header(cloud.stamp_ns, cloud.frame_id)
    marker = Marker(header=header, ns=PLANE_NAMESPACE, id=0, type=Marker.CUBE)
    plane = cloud.support_plane
    if plane is None:
        marker.action = Marker.DELETE
        return marker
    centre_m = _centre_m(cloud)
    origin_m = centre_m - plane.height_m(centre_m) * plane.normal
    marker.action = Marker.ADD
    marker.pose = Pose(position=make_point(origin_m), orientation=_turn_of_z_to(plane.normal))
    marker.scale.x, marker.scale.y, marker.scale.z = _PLANE_SIZE_M
    marker.color.r, marker.color.g, marker.color.b, marker.color.a = 0.5, 0.6, 0.7, 0.4
    return marker


def _centre_m(cloud: SceneCloud) -> NDArray[np.float64]:
    """(3,) mean of the objects' points, of all points where there is no object."""
    chosen = cloud.instance_ids > 0
    if not chosen.any():
        chosen = np.ones_like(chosen)
    # A product takes a tenth of the time of an index and a mean.
    total_m = chosen.astype(np.float32) @ cloud.points_m
    centre_m: NDArray[np.float64] = total_m.astype(np.float64) / max(int(chosen.sum()), 1)
    return centre_m


def plane_from_marker(msg: Marker) -> Plane | None:
    """The plane of :func:`plane_marker`.

    Raises:
        FrameError: ``bad_plane`` when the orientation is no unit quaternion.
    """
    if msg.action == Marker.DELETE:
        return None
    turn, origin = msg.pose.orientation, msg.pose.position
    quaternion = np.array([turn.x, turn.y, turn.z, turn.w])
    if not abs(np.linalg.norm(quaternion) - 1) < 1e-3:
        raise FrameError("bad_plane", f"support plane: orientation {quaternion} is no rotation")
    normal = np.asarray(Rotation.from_quat(quaternion).as_matrix()[:, 2], dtype=np.float64)
    offset_m = -float(normal @ np.array([origin.x, origin.y, origin.z]))
    return Plane(normal=normal, offset_m=offset_m)


def make_point(position_m: NDArray[np.floating]) -> Point:
    """A Point from (3,) metres."""
    x, y, z = (float(value) for value in position_m)
    return Point(x=x, y=y, z=z)


def make_pose(position_m: NDArray[np.float64], rotation: NDArray[np.float64]) -> Pose:
    """A Pose from (3,) metres and a (3, 3) rotation."""
    x, y, z, w = (float(value) for value in Rotation.from_matrix(rotation).as_quat())
    return Pose(position=make_point(position_m), orientation=Quaternion(x=x, y=y, z=z, w=w))


def _turn_of_z_to(direction: NDArray[np.float64]) -> Quaternion:
    """A rotation that takes the z axis to a unit vector."""
    x, y, z = (float(value) for value in direction)
    # The shortest turn, from -z where that is nearer: no division by nearly nothing.
    turn = (-y, x, 0.0, 1 + z) if z > 0 else (1 - z, 0.0, x, -y)
    length = math.sqrt(2 + 2 * abs(z))
    return Quaternion(**{name: v / length for name, v in zip("xyzw", turn, strict=True)})


def _rows_message(
    rows: NDArray[np.void], fields: Sequence[Field], stamp_ns: int, frame_id: str
) -> PointCloud2:
    content = point_cloud(rows, fields)
    content["fields"] = [
        PointField(name=item.name, offset=item.offset, datatype=item.datatype, count=1)
        for item in fields
    ]
    return _fill(PointCloud2(header=make_header(stamp_ns, frame_id)), content)


def _fill(msg: Any, content: Mapping[str, Any]) -> Any:
    for name, value in content.items():
        setattr(msg, name, _byte_array(value) if name == "data" else value)
    return msg


def _byte_array(data: NDArray[np.uint8]) -> array[int]:
    # An array of bytes is taken over as it is; any other sequence is checked byte by byte.
    result = array("B")
    if data.size:
        result.frombytes(np.ascontiguousarray(data).data.cast("B"))
    return result
