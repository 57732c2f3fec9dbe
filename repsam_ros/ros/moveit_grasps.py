"""``~/moveit_grasp``: the best grasp for MoveIt, where moveit_msgs is installed."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import PoseStamped, Vector3, Vector3Stamped
from std_msgs.msg import Header

from repsam_ros.grasping.conventions import pose_in
from repsam_ros.grasping.gripper import Gripper
from repsam_ros.ros.conversions import make_pose
from repsam_ros.structures import Grasp

try:
    from moveit_msgs import msg as moveit_msgs
except ImportError:  # not to be had from PyPI; a ROS distribution has it
    moveit_msgs = None

# MoveIt may shorten a way to this share of it.
_LEAST_SHARE = 0.5


def moveit_grasp_type() -> type | None:
    """moveit_msgs/Grasp, None where the package is missing."""
    return None if moveit_msgs is None else moveit_msgs.Grasp


def moveit_grasp_state() -> str:
    """Whether the topic is there, for logs and diagnostics."""
    return "off, moveit_msgs is not installed" if moveit_msgs is None else "on"


def moveit_grasp_message(grasp: Grasp, gripper: Gripper, approach_m: float, header: Header) -> Any:
    """A grasp as a pose of the hand's own link, which has to be the end effector.

    It is approached along the hand's z axis and left the same way. The postures stay empty: a
    driver knows its joints; the opening is in ``~/grasp_candidates``.
    """
    pose = pose_in("panda_hand", grasp, gripper)
    message = moveit_msgs.Grasp(id=str(grasp.instance_id), grasp_quality=grasp.score)
    message.grasp_pose = PoseStamped(header=header, pose=make_pose(pose[:3, 3], pose[:3, :3]))
    ways = (message.pre_grasp_approach, 1.0), (message.post_grasp_retreat, -1.0)
    for way, sign in ways:
        x, y, z = (float(sign * value) for value in grasp.rotation[:, 2])
        way.direction = Vector3Stamped(header=header, vector=Vector3(x=x, y=y, z=z))
        way.desired_distance, way.min_distance = approach_m, _LEAST_SHARE * approach_m
    return message
