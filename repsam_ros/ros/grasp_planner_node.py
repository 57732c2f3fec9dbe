"""Clouds in, grasps out."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from geometry_msgs.msg import PoseArray, PoseStamped
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import UInt32
from visualization_msgs.msg import Marker, MarkerArray

from repsam_ros.errors import FrameError
from repsam_ros.grasping.planner import plan
from repsam_ros.grasping.settings import PlannerSettings
from repsam_ros.messages import stamp_to_ns, unpack_cloud
from repsam_ros.ros.conversions import (
    candidates_message,
    grasps_message,
    plane_from_marker,
    viewpoint_from_pose,
)
from repsam_ros.ros.managed_node import ManagedNode
from repsam_ros.ros.markers import grasp_markers
from repsam_ros.ros.parameters import Parameter, build_settings, settings_parameters
from repsam_ros.ros.qos import RELIABILITIES, input_qos, output_qos
from repsam_ros.ros.running import run_node
from repsam_ros.ros.stamp_join import JoinedMessages, StampJoin

_INPUTS = {"points": PointCloud2, "support_plane": Marker, "view_pose": PoseStamped}
_OUTPUTS = {"grasps": PoseArray, "grasp_candidates": PointCloud2, "grasp_markers": MarkerArray}
_ALL_OBJECTS = 0

SETTINGS_BOUNDS = {
    "samples_per_object": (1, 1000),
    "max_points_per_object": (10, 100_000),
    "rolls": (1, 64),
    "max_tilt_rad": (0.0, 3.15),
    "max_width_m": (0.001, 0.5),
    "friction": (0.01, 5.0),
    "unseen_credit": (0.0, 1.0),
    "max_grasps_per_object": (1, 1000),
    "max_checked_per_object": (1, 10_000),
}

NODE_PARAMETERS = (
    Parameter(
        "qos.reliability",
        "reliable",
        "Of the input subscriptions.",
        "unconfigured",
        choices=RELIABILITIES,
    ),
    Parameter("qos.depth", 5, "Of the input subscriptions.", "unconfigured", (1, 1000)),
    Parameter("qos.output_depth", 5, "Of the publishers.", "unconfigured", (1, 1000)),
)
PARAMETERS = (*NODE_PARAMETERS, *settings_parameters(PlannerSettings, SETTINGS_BOUNDS))


class GraspPlannerNode(ManagedNode):
    """Lifecycle node ``grasp_planner``; the README lists its topics and parameters."""

    def __init__(self, **options: Any) -> None:
        self._settings = PlannerSettings()
        self._join = StampJoin(tuple(_INPUTS))
        self._target_id = _ALL_OBJECTS
        super().__init__("grasp_planner", PARAMETERS, **options)

    def configure(self) -> None:
        self.apply_values(self.values())
        qos = output_qos(self.value("qos.output_depth"))
        for name, message_type in _OUTPUTS.items():
            self.add_output(message_type, name, qos)

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

    def cleanup(self) -> None:
        self.remove_outputs()

    def process(self, job: JoinedMessages) -> None:
        points, marker, pose = (job.messages[name] for name in _INPUTS)
        for name, msg in job.messages.items():
            if msg.header.frame_id != points.header.frame_id:
                raise FrameError(
                    "frame_mismatch",
                    f"{name}: frame {msg.header.frame_id!r}, expected"
                    f" {points.header.frame_id!r} of the points",
                )
        cloud = unpack_cloud(points, plane_from_marker(marker), viewpoint_from_pose(pose))
        targets = None if self._target_id == _ALL_OBJECTS else (self._target_id,)
        grasps = plan(cloud, self._settings, targets).grasps
        where = (stamp_to_ns(points.header.stamp), cloud.frame_id)
        self.publish("grasps", grasps_message(grasps, *where))
        self.publish("grasp_candidates", candidates_message(grasps, *where))
        if self.is_watched("grasp_markers"):
            markers = grasp_markers(grasps, self._settings.gripper, *where)
            self.publish("grasp_markers", markers)
        self.statistics.add_latency(time.monotonic() - job.arrival_s)
        self.statistics.note("published")

    def apply_values(self, values: dict[str, Any]) -> None:
        self._settings = build_settings(PlannerSettings, values)

    def state_values(self) -> dict[str, Any]:
        return {"target": self._target_id}

    def dropped(self) -> Counter[str]:
        return super().dropped() + self._join.dropped()

    def _store(self, name: str, msg: Any) -> None:
        job = self._join.add(name, msg)
        if job is not None:
            self.submit(job)

    def _on_target(self, msg: UInt32) -> None:
        """Plans for this instance from now on; 0 = for all."""
        self._target_id = msg.data


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the executable ``grasp_planner_node``."""
    return run_node(GraspPlannerNode, argv)


if __name__ == "__main__":
    sys.exit(main())
