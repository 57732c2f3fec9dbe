"""What both nodes share: parameters, inputs, diagnostics and the frame worker."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy

from repsam_ros.errors import FrameError, RepsamError
from repsam_ros.messages.wire import decode
from repsam_ros.node_parameters import COMMON_PARAMETERS, Parameter
from repsam_ros.ros.diagnostics import ERROR, OK, WARN, DiagnosticsPublisher, Report
from repsam_ros.ros.frame_statistics import FrameStatistics
from repsam_ros.ros.lifecycle import SafeLifecycleNode
from repsam_ros.ros.newest_worker import NewestWorker
from repsam_ros.ros.parameters import declare, refuse_unknown_types
from repsam_ros.ros.qos import QosMonitor

_WARNING_GAP_S = 5.0


class ManagedNode(SafeLifecycleNode):
    """A lifecycle node that works on the newest frame, in a thread of its own.

    A subclass fills in :meth:`configure`, :meth:`subscribe`, :meth:`process`, :meth:`cleanup`
    and, where it needs them, the other hooks. An error of the package in a frame is counted by
    cause and the next frame comes; any other exception sets :attr:`failure` and is the end.

    Attributes:
        failure: The exception that ended the worker.
        failed: Called once ``failure`` is set.
        is_enabled: False while frames are received and not worked on.
    """

    def __init__(self, name: str, parameters: Sequence[Parameter], **options: Any) -> None:
        super().__init__(name, **options)
        self.statistics = FrameStatistics()
        self.qos_monitor = QosMonitor(self.get_logger().warning)
        self.failure: Exception | None = None
        self.failed: Callable[[], None] = lambda: None
        self.is_enabled = True
        self._worker: NewestWorker[Any] | None = None
        self._inputs: dict[str, Any] = {}
        self._must_speak: dict[str, str] = {}  # resolved topic by stream
        self._outputs: dict[str, Any] = {}
        self._active_since_s = time.monotonic()
        self._last_warning_s: dict[str, float] = {}
        self._parameters_by_name = {item.name: item for item in [*COMMON_PARAMETERS, *parameters]}
        declare(self, list(self._parameters_by_name.values()))
        self.add_on_set_parameters_callback(self._check_parameters)
        refuse_unknown_types(self)
        self._diagnostics = DiagnosticsPublisher(self, self._report)

    def subscribe(self) -> None:
        """Adds the inputs, with :meth:`add_input`."""

    def unsubscribed(self) -> None:
        """Called when no frame will come any more."""

    def process(self, job: Any) -> None:
        """Handles one frame, in the worker's thread."""

    def apply_values(self, values: dict[str, Any]) -> None:
        """Takes changed parameters over; raises a RepsamError when they make no sense."""

    def state_values(self) -> dict[str, Any]:
        """Further values for diagnostics."""
        return {}

    def trouble(self) -> str:
        """What is wrong although frames are worked on, for diagnostics; empty = nothing."""
        return ""

    def dropped(self) -> Counter[str]:
        """All drops by cause."""
        return self.statistics.dropped()

    def value(self, name: str) -> Any:
        """Value of a parameter."""
        return self.get_parameter(name).value

    def values(self) -> dict[str, Any]:
        """Values of all own parameters."""
        return {name: self.value(name) for name in self._parameters_by_name}

    def add_input(
        self,
        stream: str,
        msg_type: type,
        topic: str,
        qos: Any,
        callback: Callable[[Any], None],
        *,
        may_be_silent: bool = False,
    ) -> None:
        """Subscribes until the node is deactivated; silence and QoS mismatch are reported.

        rclpy drops bytes that are no message without a word and copies images into arrays of
        its own, so messages are taken as bytes and decoded here.
        """
        msgtype = f"{msg_type.__module__.split('.')[0]}/msg/{msg_type.__name__}"
        resolved = self.resolve_topic_name(topic)

        def store(raw: bytes) -> None:
            self.statistics.note(stream)
            try:
                msg = decode(raw, msgtype)
            except FrameError as error:
                self._drop(f"{error.cause}_{stream}", str(error))
            else:
                callback(msg)

        if not may_be_silent:
            self._must_speak[stream] = resolved
        self._inputs[stream] = self.create_subscription(
            msg_type,
            topic,
            store,
            qos,
            raw=True,
            callback_group=MutuallyExclusiveCallbackGroup(),
            event_callbacks=self.qos_monitor.subscription_events(resolved),
        )

    def add_output(self, msg_type: type, name: str, qos: Any) -> None:
        """Publishes on ``~/name`` while active; QoS mismatch is reported."""
        topic = f"~/{name}"
        events = self.qos_monitor.publisher_events(self.resolve_topic_name(topic))
        self._outputs[name] = self.create_lifecycle_publisher(
            msg_type, topic, qos, event_callbacks=events
        )

    def remove_outputs(self) -> None:
        """Takes down what :meth:`add_output` made."""
        outputs, self._outputs = self._outputs, {}
        for publisher in outputs.values():
            self.destroy_lifecycle_publisher(publisher)

    def publish(self, name: str, msg: Any) -> None:
        """Publishes on an output."""
        self._outputs[name].publish(msg)

    def is_watched(self, name: str) -> bool:
        """Whether an output has a subscriber."""
        return bool(self._outputs[name].get_subscription_count())

    def submit(self, job: Any) -> None:
        """Hands a frame to the worker."""
        worker = self._worker
        if worker is None:
            self.statistics.drop("inactive")
        else:
            worker.submit(job)

    @property
    def is_active(self) -> bool:
        """Whether frames are taken."""
        return self._worker is not None

    def activate(self) -> None:
        # What is counted in one place has to be counted in all, or frames seem to be missing.
        self.statistics.reset()
        self._worker = NewestWorker(
            self._process,
            lambda job: self.statistics.drop("stale"),
            self._on_failure,
            self.value("max_waiting"),
        )
        self._active_since_s = time.monotonic()
        self.subscribe()

    def deactivate(self) -> None:
        inputs, self._inputs = self._inputs, {}
        for subscription in inputs.values():
            self.destroy_subscription(subscription)
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()
        self.unsubscribed()

    def _process(self, job: Any) -> None:
        try:
            self.process(job)
        except RepsamError as error:
            self._drop(
                error.cause if isinstance(error, FrameError) else type(error).__name__, str(error)
            )

    def _drop(self, cause: str, message: str) -> None:
        self.statistics.drop(cause, message)
        self.warn_sometimes(cause, f"frame dropped: {cause}: {message}")

    def warn_sometimes(self, what: str, text: str) -> None:
        """Logs a warning, no more than one in a while for each ``what``."""
        now_s = time.monotonic()
        if now_s - self._last_warning_s.get(what, -_WARNING_GAP_S) >= _WARNING_GAP_S:
            self._last_warning_s[what] = now_s
            self.get_logger().warning(text)

    def _on_failure(self, error: Exception) -> None:
        trace = "".join(traceback.format_exception(error))
        self.get_logger().fatal(f"stopping after an unexpected error:\n{trace}")
        self.statistics.last_error = repr(error)
        self.failure = error
        self.failed()

    def _check_parameters(self, changed: list[Any]) -> SetParametersResult:
        values = self.values()
        for item in changed:
            parameter = self._parameters_by_name.get(item.name)
            if parameter is None:
                continue
            reason = parameter.problem(item.value)
            if parameter.change == "unconfigured" and self.state != "unconfigured":
                reason = f"{item.name} can be changed only while the node is unconfigured"
            if reason:
                return SetParametersResult(successful=False, reason=reason)
            values[item.name] = item.value
        try:
            self.apply_values(values)
        except RepsamError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _report(self) -> Report:
        limit_s = self.value("max_silence_s")
        inputs, statistics, worker = list(self._inputs), self.statistics, self._worker
        silent = [
            self._must_speak[stream]
            for stream in inputs
            if stream in self._must_speak
            and statistics.silence_s(stream, self._active_since_s) > limit_s
        ]
        dropped = self.dropped()
        values: dict[str, Any] = {"state": self.state, "enabled": self.is_enabled}
        for stream in inputs:
            values[f"received_{stream}"] = statistics.count(stream)
            values[f"rate_{stream}_hz"] = statistics.rate_hz(stream)
        values["published"] = statistics.count("published")
        values["rate_published_hz"] = statistics.rate_hz("published")
        values["busy"] = worker is not None and not worker.is_idle
        values["dropped"] = sum(dropped.values())
        values |= {f"dropped.{cause}": count for cause, count in sorted(dropped.items())}
        values |= statistics.durations_ms()
        values |= self.state_values()
        for name, publisher in dict(self._outputs).items():
            # A transition may take it down meanwhile.
            with suppress(_rclpy.InvalidHandle):
                values[f"subscribers_{name}"] = publisher.get_subscription_count()
        values["silent_topics"] = " ".join(silent)
        values["incompatible_qos"] = " ".join(sorted(self.qos_monitor.incompatible))
        values["last_error"] = self.transition_error or statistics.last_error
        if self.state != "active":
            level = ERROR if self.transition_error else OK
            return Report(level, f"{self.state} {self.transition_error}".strip(), values)
        if silent:
            return Report(WARN, f"no message for {limit_s:g} s on {', '.join(silent)}", values)
        if self.qos_monitor.incompatible:
            return Report(WARN, f"incompatible QoS on {values['incompatible_qos']}", values)
        if trouble := self.trouble():
            return Report(WARN, trouble, values)
        if not self.is_enabled:
            return Report(OK, "disabled by service", values)
        return Report(OK, f"{values['rate_published_hz']:.1f} frames a second", values)
