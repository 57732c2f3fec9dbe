"""The grasp planner node in its process: a cloud, its plane and its viewpoint in, grasps out."""

from __future__ import annotations

import dataclasses
import signal
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import PoseArray, PoseStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import UInt32
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import Marker, MarkerArray

from repsam_ros.grasping.planners import open_planner
from repsam_ros.messages import stamp_to_ns, unpack_cloud, unpack_grasps
from repsam_ros.perception.clouds import CloudSettings, build_cloud
from repsam_ros.ros.conversions import (
    cloud_message,
    plane_from_marker,
    plane_marker,
    view_pose_message,
    viewpoint_from_pose,
)
from repsam_ros.ros.grasp_planner_parameters import PARAMETERS
from repsam_ros.structures import Instances, Intrinsics, RgbdFrame, SceneCloud

pytestmark = pytest.mark.ros

QOS = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
NODE = "/grasp_planner"
STAMP_NS = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def cloud() -> SceneCloud:
    """Two boxes of 39 mm x 60 mm on a table, with true masks."""
    rng = np.random.default_rng(3)
    depth_m = np.full((120, 160), 0.6, np.float32)
    labels = np.zeros(depth_m.shape, np.uint16)
    for number, x in enumerate((35, 100), start=1):
        depth_m[40:80, x : x + 26] = 0.54
        labels[40:80, x : x + 26] = number
    depth_m += rng.normal(0, 0.0003, depth_m.shape).astype(np.float32)
    color = np.full((*depth_m.shape, 3), 128, np.uint8)
    camera = Intrinsics(400.0, 400.0, 79.5, 59.5, 160, 120)
    instances = Instances(labels, np.full(2, 0.9, np.float32), np.zeros((2, 2), np.float32))
    return build_cloud(RgbdFrame(color, depth_m, camera), instances, CloudSettings())


class PlannerRig:
    """The planner's inputs and outputs."""

    def __init__(self, rig: Any) -> None:
        self.rig = rig
        self.child = rig.start("grasp_planner_node")
        rig.node_name = NODE
        rig.session.bring_up(NODE)
        node = rig.session.node
        inputs = {"points": PointCloud2, "support_plane": Marker, "view_pose": PoseStamped}
        self.publishers = {
            name: node.create_publisher(kind, f"/perception/{name}", QOS)
            for name, kind in inputs.items()
        }
        self.publishers["target"] = node.create_publisher(UInt32, f"{NODE}/target", QOS)
        self.grasps: dict[int, Any] = {}
        self.candidates: dict[int, Any] = {}
        node.create_subscription(PoseArray, f"{NODE}/grasps", self._on_grasps, QOS)
        node.create_subscription(PointCloud2, f"{NODE}/grasp_candidates", self._on_rows, QOS)
        rig.wait_until(
            lambda: all(p.get_subscription_count() for p in self.publishers.values()),
            "the planner's subscriptions",
        )
        rig.await_values(
            lambda values: (
                values.get("subscribers_grasps") == "1"
                and values.get("subscribers_grasp_candidates") == "1"
            ),
            "the planner to find this process",
        )

    def send(self, cloud: SceneCloud, *names: str) -> dict[str, Any]:
        messages = {
            "support_plane": plane_marker(cloud),
            "view_pose": view_pose_message(cloud),
            "points": cloud_message(cloud),
        }
        for name in names or messages:
            self.publishers[name].publish(messages[name])
        return messages

    def received(self, sent: dict[str, Any]) -> SceneCloud:
        """The cloud as the node gets it."""
        plane = plane_from_marker(sent["support_plane"])
        return unpack_cloud(sent["points"], plane, viewpoint_from_pose(sent["view_pose"]))

    def set_parameters(self, **values: Any) -> str:
        """Sets them one after the other; the reasons of those that are refused."""
        parameters = [Parameter(name, value=value) for name, value in values.items()]
        request = SetParameters.Request(parameters=[each.to_parameter_msg() for each in parameters])
        answer = self.rig.session.call(SetParameters, f"{NODE}/set_parameters", request)
        return " ".join(each.reason for each in answer.results)

    def await_grasps(self, stamp_ns: int) -> tuple[PoseArray, PointCloud2]:
        self.rig.wait_until(
            lambda: stamp_ns in self.grasps and stamp_ns in self.candidates, "grasps"
        )
        return self.grasps[stamp_ns], self.candidates[stamp_ns]

    def _on_grasps(self, msg: PoseArray) -> None:
        self.grasps[stamp_to_ns(msg.header.stamp)] = msg

    def _on_rows(self, msg: PointCloud2) -> None:
        self.candidates[stamp_to_ns(msg.header.stamp)] = msg


def test_planner_node(rig: Any, cloud: SceneCloud) -> None:
    """One process for all of it: a start takes longer than the checks."""
    planner = PlannerRig(rig)
    _says_whether_moveit_gets_grasps(planner)
    _says_that_there_is_no_cloud_yet(planner)
    _gives_the_planners_grasps_with_the_clouds_stamp(planner, cloud)
    _waits_for_plane_and_view_of_the_same_stamp(planner, cloud)
    _plans_for_the_target_alone(planner, cloud)
    _counts_a_cloud_without_its_fields_and_goes_on(planner, cloud)
    _plans_once_when_asked_and_says_what_it_found(planner, cloud)
    _answers_others_while_it_plans(planner)
    _takes_another_planner_gripper_and_workspace_while_it_runs(planner, cloud)
    _draws_grasps_while_someone_looks(planner, cloud)
    _forgets_the_target_when_deactivated(planner)
    planner.child.send(signal.SIGINT)
    assert planner.child.wait(120) == 0, planner.child.last_words()


def _stamped(cloud: SceneCloud, seconds: int) -> SceneCloud:
    return dataclasses.replace(cloud, stamp_ns=STAMP_NS + seconds * 1_000_000_000)


def _gives_the_planners_grasps_with_the_clouds_stamp(
    planner: PlannerRig, cloud: SceneCloud
) -> None:
    cloud = _stamped(cloud, 1)
    sent = planner.send(cloud)
    poses, rows = planner.await_grasps(cloud.stamp_ns)
    expected = open_planner("antipodal")(planner.received(sent)).grasps
    found = unpack_grasps(rows)
    assert expected and len(poses.poses) == len(found) == len(expected)
    assert poses.header.frame_id == rows.header.frame_id == cloud.frame_id
    for grasp, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(grasp.position_m, wanted.position_m, atol=1e-6)
        assert grasp.instance_id == wanted.instance_id
    scores = [grasp.score for grasp in found]
    assert scores == sorted(scores, reverse=True)


def _waits_for_plane_and_view_of_the_same_stamp(planner: PlannerRig, cloud: SceneCloud) -> None:
    early, late = _stamped(cloud, 2), _stamped(cloud, 3)
    planner.send(early, "points", "view_pose")
    planner.send(late, "support_plane", "view_pose")
    planner.send(late, "points")
    planner.await_grasps(late.stamp_ns)
    assert early.stamp_ns not in planner.grasps
    planner.rig.await_values(
        lambda values: values.get("dropped.missing_support_plane") == "1", "the missing plane"
    )


def _plans_for_the_target_alone(planner: PlannerRig, cloud: SceneCloud) -> None:
    planner.publishers["target"].publish(UInt32(data=2))
    planner.rig.await_values(lambda values: values.get("target") == "2", "the target")
    only = _stamped(cloud, 4)
    planner.send(only)
    _, rows = planner.await_grasps(only.stamp_ns)
    assert {grasp.instance_id for grasp in unpack_grasps(rows)} == {2}
    planner.publishers["target"].publish(UInt32(data=0))
    planner.rig.await_values(lambda values: values.get("target") == "0", "the target")


def _forgets_the_target_when_deactivated(planner: PlannerRig) -> None:
    planner.publishers["target"].publish(UInt32(data=2))
    planner.rig.await_values(lambda values: values.get("target") == "2", "the target")
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert planner.rig.session.call(ChangeState, f"{NODE}/change_state", request).success
    planner.rig.await_values(lambda values: values.get("target") == "0", "all objects")


def _counts_a_cloud_without_its_fields_and_goes_on(planner: PlannerRig, cloud: SceneCloud) -> None:
    bad, good = _stamped(cloud, 5), _stamped(cloud, 6)
    planner.send(bad, "support_plane", "view_pose")
    message = cloud_message(bad)
    message.fields = message.fields[:3]
    planner.publishers["points"].publish(message)
    planner.rig.await_values(
        lambda values: values.get("dropped.unknown_encoding") == "1", "the broken cloud"
    )
    planner.send(good)
    planner.await_grasps(good.stamp_ns)


def _draws_grasps_while_someone_looks(planner: PlannerRig, cloud: SceneCloud) -> None:
    drawn: list[MarkerArray] = []
    node = planner.rig.session.node
    node.create_subscription(MarkerArray, f"{NODE}/grasp_markers", drawn.append, QOS)
    planner.rig.await_values(
        lambda values: values.get("subscribers_grasp_markers") == "1", "the listener"
    )
    seen = _stamped(cloud, 20)
    planner.send(seen)
    planner.rig.wait_until(lambda: bool(drawn), "markers")
    hands = [item for item in drawn[0].markers if item.action == Marker.ADD]
    assert hands and {stamp_to_ns(item.header.stamp) for item in hands} == {seen.stamp_ns}


def _says_whether_moveit_gets_grasps(planner: PlannerRig) -> None:
    """Else the topic would be missing without a word."""
    state = "off, moveit_msgs is not installed" if find_spec("moveit_msgs") is None else "on"
    assert any(f"~/moveit_grasp: {state}" in line for line in planner.child.lines)
    planner.rig.await_values(lambda values: values["moveit_grasp"] == state, "the state")
    topics = dict(planner.rig.session.node.get_topic_names_and_types())
    assert (f"{NODE}/moveit_grasp" in topics) == (state == "on")
    assert f"{NODE}/grasps" in topics


def _says_that_there_is_no_cloud_yet(planner: PlannerRig) -> None:
    answer = planner.rig.session.call(Trigger, f"{NODE}/plan", Trigger.Request())
    assert not answer.success and "no cloud" in answer.message


def _plans_once_when_asked_and_says_what_it_found(planner: PlannerRig, cloud: SceneCloud) -> None:
    session, only = planner.rig.session, _stamped(cloud, 7)
    assert session.call(SetBool, f"{NODE}/enable", SetBool.Request(data=False)).success
    planner.send(only)
    planner.rig.await_values(
        lambda values: values.get("dropped.disabled") == "1", "the cloud to be left alone"
    )
    assert only.stamp_ns not in planner.grasps
    answer = session.call(Trigger, f"{NODE}/plan", Trigger.Request())
    poses, _ = planner.await_grasps(only.stamp_ns)
    assert answer.success
    assert answer.message.startswith(f"{len(poses.poses)} grasps on 2 objects; rejected: ")
    planner.rig.await_values(
        lambda values: (
            values.get("grasps") == str(len(poses.poses))
            and any(name.startswith("rejected.") for name in values)
        ),
        "what was found and rejected",
    )
    assert session.call(SetBool, f"{NODE}/enable", SetBool.Request(data=True)).success


def _answers_others_while_it_plans(planner: PlannerRig) -> None:
    """The service plans on the newest cloud, so slowly that others can overtake it."""
    slow = {"antipodal.samples_per_object": 1000, "antipodal.samples_sharing": 1}
    slow |= {"antipodal.rolls": 64, "antipodal.max_checked_per_object": 10_000}
    usual = {name: default for name, default in _defaults().items() if name in slow}
    assert planner.set_parameters(**slow).strip() == ""
    session = planner.rig.session
    client = session.node.create_client(Trigger, f"{NODE}/plan")
    answered = []
    plan = client.call_async(Trigger.Request())
    plan.add_done_callback(lambda _: answered.append("plan"))
    for name in ("state", "state again"):
        assert session.state(NODE) == "active"
        answered.append(name)
    planner.rig.wait_until(plan.done, "a plan")
    assert plan.result().success and answered == ["state", "state again", "plan"]
    session.node.destroy_client(client)
    assert planner.set_parameters(**usual).strip() == ""


def _defaults() -> dict[str, Any]:
    return {item.name: item.default for item in PARAMETERS}


def _takes_another_planner_gripper_and_workspace_while_it_runs(
    planner: PlannerRig, cloud: SceneCloud
) -> None:
    changes = {
        "planner": "top_down",
        "gripper": "robotiq_2f_85",
        "top_down.workspace_high_m": [0.0, 100.0, 100.0],
    }
    assert planner.set_parameters(**changes).strip() == ""
    fewer = _stamped(cloud, 8)
    received = planner.received(planner.send(fewer))
    settings = {"gripper": "robotiq_2f_85", "workspace_high_m": [0.0, 100.0, 100.0]}
    expected = open_planner("top_down", settings)(received).grasps
    _, rows = planner.await_grasps(fewer.stamp_ns)
    found = unpack_grasps(rows)
    assert [grasp.width_m for grasp in found] == pytest.approx([g.width_m for g in expected])
    assert {grasp.instance_id for grasp in found} == {1}
    assert "planner must be one of antipodal, " in planner.set_parameters(planner="telepathic")
    assert "unknown gripper" in planner.set_parameters(gripper="claw")
