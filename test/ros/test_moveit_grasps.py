from __future__ import annotations

import numpy as np
import pytest
from std_msgs.msg import Header

from repsam_ros.grasping.gripper import Gripper
from repsam_ros.ros.moveit_grasps import moveit_grasp_message, moveit_grasp_type
from repsam_ros.structures import Grasp

DOWN = Grasp(np.array([0.4, 0.1, 0.1]), np.diag([-1.0, 1, -1]), 0.05, 0.7, 3)


def test_the_best_grasp_is_the_pose_of_the_hand_for_moveit() -> None:
    moveit_msgs = pytest.importorskip("moveit_msgs.msg", reason="moveit_msgs comes with ROS only")
    assert moveit_grasp_type() is moveit_msgs.Grasp
    message = moveit_grasp_message(DOWN, Gripper(), 0.1, Header(frame_id="base"))
    place, turn = message.grasp_pose.pose.position, message.grasp_pose.pose.orientation
    assert (place.x, place.y, place.z) == pytest.approx((0.4, 0.1, 0.1 + 0.1034))
    assert (abs(turn.x), abs(turn.y), turn.z, turn.w) == pytest.approx((0, 1, 0, 0))
    assert (message.id, message.grasp_quality) == ("3", 0.7)
    assert message.pre_grasp_approach.direction.vector.z == -1
    assert message.post_grasp_retreat.direction.vector.z == 1
    assert message.pre_grasp_approach.desired_distance == pytest.approx(0.1)
