"""Camera in, label maps and clouds out."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import SetBool, Trigger

from repsam_ros.errors import RepsamError
from repsam_ros.perception.frame import make_frame
from repsam_ros.perception.frame_inbox import CompleteFrame, FrameInbox
from repsam_ros.perception.pipeline import Pipeline, PipelineSettings, open_pipeline
from repsam_ros.ros.managed_node import ManagedNode
from repsam_ros.ros.parameters import build_settings
from repsam_ros.ros.perception_output import PerceptionOutput
from repsam_ros.ros.perception_parameters import PARAMETERS
from repsam_ros.ros.qos import input_qos
from repsam_ros.ros.running import run_node

_SEGMENT_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class _Request:
    """A call of ~/segment that waits for a frame."""

    asked_s: float
    answer: Future


class PerceptionNode(ManagedNode):
    """Lifecycle node ``perception``; the README lists its topics, services and parameters."""

    def __init__(self, **options: Any) -> None:
        self._pipeline: Pipeline | None = None
        self._output: PerceptionOutput | None = None
        self._inbox: FrameInbox | None = None
        self._requests: list[_Request] = []
        self._requests_lock = threading.Lock()
        super().__init__("perception", PARAMETERS, **options)
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_service(Trigger, "~/reset", self._on_reset)
        # It waits for a frame; in the common group nothing else would be answered meanwhile.
        group = MutuallyExclusiveCallbackGroup()
        self.create_service(Trigger, "~/segment", self._on_segment, callback_group=group)

    def configure(self) -> None:
        values = self.values()
        self._pipeline = open_pipeline(
            model=values["model"],
            backend=values["backend"],
            device=values["device"],
            settings=build_settings(PipelineSettings, values),
            precision=values["precision"],
            threads=values["threads"],
        )
        self._output = PerceptionOutput(self, values["qos.output_depth"], values["target_frame"])
        info = self._pipeline.info
        self.get_logger().info(
            f"model {info.model} ({info.model_sha256[:12]}) on {info.name} {info.version},"
            f" {info.device}, {info.precision}"
        )

    def subscribe(self) -> None:
        slop_ns = round(self.value("slop_s") * 1e9)
        self._inbox = inbox = FrameInbox(self._on_frame, slop_ns, self.value("sync_queue"))
        qos = input_qos(self.value("qos.reliability"), self.value("qos.depth"))
        # Served in this order when several wait: the info is there before its images.
        self.add_input("camera_info", CameraInfo, "color/camera_info", qos, inbox.add_info)
        self.add_input(
            "depth",
            Image,
            "aligned_depth_to_color/image_raw",
            qos,
            lambda msg: inbox.add_image("depth", msg),
        )
        self.add_input(
            "color", Image, "color/image_raw", qos, lambda msg: inbox.add_image("color", msg)
        )

    def unsubscribed(self) -> None:
        self._answer(time.monotonic(), False, "the node was deactivated")

    def cleanup(self) -> None:
        if self._output is not None:
            self._output.close()
        if self._pipeline is not None:
            self._pipeline.close()
        self._output = self._pipeline = None

    def process(self, job: CompleteFrame) -> None:
        assert self._pipeline is not None and self._output is not None
        try:
            frame = make_frame(
                job.color_msg,
                job.depth_msg,
                job.info_msg,
                depth_scale_m=self.value("depth_scale_m") or None,
            )
            scene = self._pipeline.perceive(frame)
            self._output.publish(frame, scene)
        except RepsamError as error:
            self._answer(job.arrival_s, False, str(error))
            raise
        self.statistics.add_latency(time.monotonic() - job.arrival_s)
        self.statistics.note("published")
        text = f"{len(scene.instances)} instances at {frame.stamp_ns / 1e9:.3f} s"
        self._answer(job.arrival_s, True, text)

    def apply_values(self, values: dict[str, Any]) -> None:
        settings = build_settings(PipelineSettings, values)
        if self._pipeline is not None:
            self._pipeline.settings = settings

    def state_values(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if self._inbox is not None:
            pairs, colors = self._inbox.pairs, self.statistics.count("color")
            values |= {"pairs": pairs, "sync_yield": pairs / colors if colors else float("nan")}
        if self._pipeline is not None:
            info = self._pipeline.info
            values |= {"backend": info.name, "backend_version": info.version}
            values |= {"device": info.device, "precision": info.precision}
            values |= {"model": info.model, "model_sha256": info.model_sha256}
        return values

    def dropped(self) -> Counter[str]:
        inbox = self._inbox
        return super().dropped() + (inbox.dropped() if inbox is not None else Counter())

    def _on_frame(self, frame: CompleteFrame) -> None:
        if self.is_enabled or self._requests:
            self.submit(frame)
        else:
            self.statistics.drop("disabled")

    def _on_enable(self, request: Any, response: Any) -> Any:
        self.is_enabled = request.data
        response.success = True
        response.message = "enabled" if request.data else "disabled: only ~/segment works on frames"
        return response

    def _on_reset(self, request: Any, response: Any) -> Any:
        if self._inbox is not None:
            self._inbox.reset()
        self.statistics.reset()
        response.success, response.message = True, "counters and waiting images are cleared"
        return response

    async def _on_segment(self, request: Any, response: Any) -> Any:
        if not self.is_active:
            response.success, response.message = False, "the node is not active"
            return response
        waiting = _Request(time.monotonic(), Future())
        with self._requests_lock:
            self._requests.append(waiting)
        text = f"no frame arrived within {_SEGMENT_TIMEOUT_S:g} s: see /diagnostics"
        timer = threading.Timer(_SEGMENT_TIMEOUT_S, self._expire, (waiting, text))
        timer.start()
        response.success, response.message = await waiting.answer
        timer.cancel()
        return response

    def _expire(self, request: _Request, text: str) -> None:
        with self._requests_lock:
            if request not in self._requests:
                return
            self._requests.remove(request)
        self.finish(request.answer, (False, text))

    def _answer(self, arrival_s: float, success: bool, text: str) -> None:
        """Answers the requests made before a frame arrived: older frames would be stale."""
        with self._requests_lock:
            due = [item for item in self._requests if item.asked_s <= arrival_s]
            self._requests = [item for item in self._requests if item.asked_s > arrival_s]
        for item in due:
            self.finish(item.answer, (success, text))


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the executable ``perception_node``."""
    return run_node(PerceptionNode, argv)


if __name__ == "__main__":
    sys.exit(main())
