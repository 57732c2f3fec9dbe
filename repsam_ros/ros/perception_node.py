"""Camera in, label maps and clouds out."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from std_srvs.srv import SetBool, Trigger

from repsam_ros.errors import RepsamError
from repsam_ros.messages import stamp_to_ns
from repsam_ros.node_parameters import build_settings
from repsam_ros.perception.frame import make_frame
from repsam_ros.perception.frame_inbox import CompleteFrame, FrameInbox
from repsam_ros.perception.hints import HintStore
from repsam_ros.perception.pacing import FramePacer
from repsam_ros.perception.parameters import PARAMETERS, SceneSettings
from repsam_ros.perception.pipeline import Pipeline, PipelineSettings, open_pipeline
from repsam_ros.ros.camera_inputs import subscribe_camera
from repsam_ros.ros.hint_inputs import subscribe_hints
from repsam_ros.ros.managed_node import ManagedNode
from repsam_ros.ros.perception_output import PerceptionOutput
from repsam_ros.ros.segment_requests import SegmentRequests


class PerceptionNode(ManagedNode):
    """Lifecycle node ``perception``; the README lists its topics, services and parameters."""

    def __init__(self, **options: Any) -> None:
        self._pipeline: Pipeline | None = None
        self._output: PerceptionOutput | None = None
        self._inbox: FrameInbox | None = None
        self._hints = HintStore()
        self._pacer = FramePacer()
        self._requests = SegmentRequests(self.finish)
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
            swap=values["backend_swap"],
        )
        self._output = PerceptionOutput(self, build_settings(SceneSettings, values))
        # Loading takes a while, in which settings may have been changed.
        self.apply_values(self.values())
        info = self._pipeline.info
        self.get_logger().info(
            f"model {info.model} ({info.model_sha256[:12]}) on {info.name} {info.version},"
            f" {info.device}, {info.precision}"
        )

    def subscribe(self) -> None:
        self._pacer = FramePacer()
        self._hints = subscribe_hints(self)
        self._inbox = subscribe_camera(self, self._on_frame)

    def unsubscribed(self) -> None:
        self._requests.answer(time.monotonic(), False, "the node was deactivated")

    def cleanup(self) -> None:
        if self._output is not None:
            self._output.close()
        if self._pipeline is not None:
            self._pipeline.close()
        self._output = self._pipeline = None

    def process(self, job: CompleteFrame) -> None:
        assert self._pipeline is not None and self._output is not None
        started_s = time.monotonic()
        try:
            frame = make_frame(
                job.color_msg,
                job.depth_msg,
                job.info_msg,
                depth_scale_m=self.value("depth_scale_m") or None,
                depth_info_msg=job.depth_info_msg,
            )
            guidance = self._hints.guidance(frame)
            made_s = time.monotonic()
            scene = self._pipeline.perceive(frame, guidance)
            perceived_s = time.monotonic()
            messages = self._output.messages(frame, scene)
        except RepsamError as error:
            self._requests.answer(job.arrival_s, False, str(error))
            raise
        converted_s = time.monotonic()
        for name, msg in messages:
            self.publish(name, msg)
        done_s = time.monotonic()
        self.statistics.add_duration("latency", done_s - job.arrival_s)
        self.statistics.add_duration("compute", perceived_s - made_s)
        self.statistics.add_duration("conversion", made_s - started_s + converted_s - perceived_s)
        self.statistics.add_duration("publishing", done_s - converted_s)
        self.statistics.note("published")
        text = f"{len(scene.instances)} instances at {frame.stamp_ns / 1e9:.3f} s"
        self._requests.answer(job.arrival_s, True, text)

    def apply_values(self, values: dict[str, Any]) -> None:
        settings = build_settings(PipelineSettings, values)
        scene_settings = build_settings(SceneSettings, values)
        if self._pipeline is not None:
            self._pipeline.settings = settings
        if self._output is not None:
            self._output.settings = scene_settings

    def state_values(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if self._inbox is not None:
            pairs, colors = self._inbox.pairs, self.statistics.count("color")
            values["waiting"] = self._inbox.waiting
            values |= {"pairs": pairs, "sync_yield": pairs / colors if colors else float("nan")}
        values |= self._hints.description()
        values |= {f"rejected.{cause}": n for cause, n in sorted(self._hints.rejected().items())}
        if self._pipeline is not None:
            values["backend_swap"] = self._pipeline.swap_state
            info = self._pipeline.info
            values |= {"backend": info.name, "backend_version": info.version}
            values |= {"device": info.device, "precision": info.precision}
            values |= {"model": info.model, "model_sha256": info.model_sha256}
        return values

    def trouble(self) -> str:
        state = "" if self._pipeline is None else self._pipeline.swap_state
        return f"{self.value('backend')} {state}" if state.startswith("failed") else ""

    def dropped(self) -> Counter[str]:
        inbox = self._inbox
        return super().dropped() + (inbox.dropped() if inbox is not None else Counter())

    def _on_frame(self, frame: CompleteFrame) -> None:
        cause = None
        if not self._requests:
            stamp_ns = stamp_to_ns(frame.color_msg.header.stamp)
            step, rate_hz = self.value("frame_step"), self.value("max_rate_hz")
            cause = "disabled"
            if self.is_enabled:
                cause = self._pacer.refusal(stamp_ns, step, rate_hz)
        if cause is None:
            self.submit(frame)
        else:
            self.statistics.drop(cause)

    def _on_enable(self, request: Any, response: Any) -> Any:
        self.is_enabled = request.data
        response.success = True
        response.message = "enabled" if request.data else "disabled: only ~/segment works on frames"
        return response

    def _on_reset(self, request: Any, response: Any) -> Any:
        if self._inbox is not None:
            self._inbox.reset()
        if self._output is not None:
            self._output.reset()
        self._hints.clear()
        self._pacer = FramePacer()
        self.statistics.reset()
        response.success = True
        response.message = "counters, waiting images, prompt, ignore mask and ids are cleared"
        return response

    async def _on_segment(self, request: Any, response: Any) -> Any:
        if not self.is_active:
            response.success, response.message = False, "the node is not active"
            return response
        response.success, response.message = await self._requests.wait()
        return response
