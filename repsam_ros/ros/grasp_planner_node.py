"""Clouds in, grasps out."""

from __future__ import annotations

import threading
import time
from collections import Counter
from functools import partial
from typing import Any

from geometry_msgs.msg import PoseArray, PoseStamped
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import UInt32
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import Marker, MarkerArray

from repsam_ros.errors import FrameError, RepsamError
from repsam_ros.grasping.gripper import Gripper, load_gripper
from repsam_ros.grasping.planners import Planner, PlanResult
from repsam_ros.messages import unpack_cloud
from repsam_ros.ros.conversions import (
    candidates_message,
    grasps_message,
    make_header,
    plane_from_marker,
    viewpoint_from_pose,
)
from repsam_ros.ros.grasp_planner_parameters import PARAMETERS, planner_from
from repsam_ros.ros.managed_node import ManagedNode
from repsam_ros.ros.markers import grasp_markers
from repsam_ros.ros.moveit_grasps import (
    moveit_grasp_message,
    moveit_grasp_state,
    moveit_grasp_type,
)
from repsam_ros.ros.qos import input_qos, output_qos
from repsam_ros.ros.stamp_join import JoinedMessages, StampJoin
from repsam_ros.structures import SceneCloud

_INPUTS = {"points": PointCloud2, "support_plane": Marker, "view_pose": PoseStamped}
_OUTPUTS = {"grasps": PoseArray, "grasp_candidates": PointCloud2, "grasp_markers": MarkerArray}
_MOVEIT = "moveit_grasp"
_ALL_OBJECTS = 0


class GraspPlannerNode(ManagedNode):
    """Lifecycle node ``grasp_planner``; the README lists its topics, services and parameters."""

    _planner: Planner
    _gripper: Gripper

    def __init__(self, **options: Any) -> None:
        self._join = StampJoin(tuple(_INPUTS))
        self._newest: JoinedMessages | None = None
        self._last = PlanResult([])
        self._target_id = _ALL_OBJECTS
        # The worker and the service plan in threads of their own; results come out one by one.
        self._planning = threading.Lock()
        super().__init__("grasp_planner", PARAMETERS, **options)
        self.create_service(SetBool, "~/enable", self._on_enable)
        # It waits for a plan; in the common group nothing else would be answered meanwhile.
        group = MutuallyExclusiveCallbackGroup()
        self.create_service(Trigger, "~/plan", self._on_plan, callback_group=group)

    def configure(self) -> None:
        self.apply_values(self.values())
        qos = output_qos(self.value("qos.output_depth"))
        for name, message_type in _OUTPUTS.items():
            self.add_output(message_type, name, qos)
        if moveit_type := moveit_grasp_type():
            self.add_output(moveit_type, _MOVEIT, qos)
        self.get_logger().info(f"~/{_MOVEIT}: {moveit_grasp_state()}")

    def subscribe(self) -> None:
        self._join = StampJoin(tuple(_INPUTS))
        qos = input_qos(self.value("qos.reliability"), self.value("qos.depth"))
        for name, message_type in _INPUTS.items():
            self.add_input(
                name,
                message_type,
                f"perception/{name}",
                qos,
                partial(self._store, name),
            )
        self.add_input("target", UInt32, "~/target", qos, self._on_target, may_be_silent=True)

    def unsubscribed(self) -> None:
        self._newest = None
        self._target_id = _ALL_OBJECTS

    def cleanup(self) -> None:
        # The worker has ended; what the service plans may still have to go out.
        with self._planning:
            self.remove_outputs()

    def process(self, job: JoinedMessages) -> None:
        with self._planning:
            self._plan(job)
        self.statistics.add_duration("latency", time.monotonic() - job.arrival_s)

    def apply_values(self, values: dict[str, Any]) -> None:
        self._planner = planner_from(values)
        self._gripper = load_gripper(values["gripper"])

    def state_values(self) -> dict[str, Any]:
        last = self._last
        values: dict[str, Any] = {"target": self._target_id, "grasps": len(last.grasps)}
        values["unfinished"] = " ".join(map(str, last.unfinished))
        values[_MOVEIT] = moveit_grasp_state()
        return values | {f"rejected.{name}": n for name, n in sorted(last.rejected.items())}

    def dropped(self) -> Counter[str]:
        return super().dropped() + self._join.dropped()

    def _plan(self, job: JoinedMessages) -> PlanResult:
        """Plans on one cloud and publishes what was found."""
        cloud = _cloud_of(job)
        targets = None if self._target_id == _ALL_OBJECTS else (self._target_id,)
        result = self._last = self._planner(cloud, targets)
        where = (cloud.stamp_ns, cloud.frame_id)
        self.publish("grasps", grasps_message(result.grasps, *where))
        self.publish("grasp_candidates", candidates_message(result.grasps, *where))
        if self.is_watched("grasp_markers"):
            self.publish("grasp_markers", grasp_markers(result.grasps, self._gripper, *where))
        if result.grasps and moveit_grasp_type():
            approach_m = self.value(f"{self.value('planner')}.approach_m")
            header = make_header(*where)
            best = moveit_grasp_message(result.grasps[0], self._gripper, approach_m, header)
            self.publish(_MOVEIT, best)
        self.statistics.note("published")
        return result

    def _store(self, name: str, msg: Any) -> None:
        job = self._join.add(name, msg)
        if job is None:
            return
        self._newest = job
        if self.is_enabled:
            self.submit(job)
        else:
            self.statistics.drop("disabled")

    def _on_target(self, msg: UInt32) -> None:
        """Plans for this instance until it is told otherwise or deactivated; 0 = for all.

        Instance numbers mean the same object from cloud to cloud where perception tracks.
        """
        self._target_id = msg.data

    def _on_enable(self, request: Any, response: Any) -> Any:
        self.is_enabled = request.data
        response.success = True
        response.message = "enabled" if request.data else "disabled: only ~/plan plans"
        return response

    async def _on_plan(self, request: Any, response: Any) -> Any:
        response.success, response.message = await self.in_thread("plan", self._plan_once)
        return response

    def _plan_once(self) -> tuple[bool, str]:
        """Plans on the newest cloud, which may have come before the call."""
        with self._planning:
            newest = self._newest
            if newest is None:
                return False, "no cloud has come" if self.is_active else "the node is not active"
            try:
                return _summary(self._plan(newest))
            except RepsamError as error:
                return False, str(error)


def _cloud_of(job: JoinedMessages) -> SceneCloud:
    points, marker, pose = (job.messages[name] for name in _INPUTS)
    for name, msg in job.messages.items():
        if msg.header.frame_id != points.header.frame_id:
            raise FrameError(
                "frame_mismatch",
                f"{name}: frame {msg.header.frame_id!r}, expected"
                f" {points.header.frame_id!r} of the points",
            )
    return unpack_cloud(points, plane_from_marker(marker), viewpoint_from_pose(pose))


def _summary(result: PlanResult) -> tuple[bool, str]:
    """Whether there is a grasp, and what was found and rejected, in words."""
    objects = {grasp.instance_id for grasp in result.grasps}
    parts = [f"{len(result.grasps)} grasps on {len(objects)} objects"]
    causes = ", ".join(f"{name} {n}" for name, n in result.rejected.most_common())
    parts += [f"rejected: {causes}"] if causes else []
    parts += [f"{len(result.unfinished)} objects unfinished"] if result.unfinished else []
    return bool(result.grasps), "; ".join(parts)
