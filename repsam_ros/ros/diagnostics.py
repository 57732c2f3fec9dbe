"""Publishes a node's state on /diagnostics once a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

OK = DiagnosticStatus.OK
WARN = DiagnosticStatus.WARN
ERROR = DiagnosticStatus.ERROR


@dataclass(frozen=True)
class Report:
    """One status.

    Attributes:
        level: ``OK``, ``WARN`` or ``ERROR``.
        message: One line for people.
        values: For programs; keys are stable.
    """

    level: bytes
    message: str
    values: Mapping[str, Any] = field(default_factory=dict)


class DiagnosticsPublisher:
    """Collects and publishes a :class:`Report` at 1 Hz of real time, whatever /clock does."""

    def __init__(self, node: Node, collect: Callable[[], Report]) -> None:
        self._node = node
        self._collect = collect
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(1.0, self.publish, clock=clock)

    def publish(self) -> None:
        """Publishes now."""
        report = self._collect()
        status = DiagnosticStatus(
            level=report.level,
            name=f"{self._node.get_fully_qualified_name().lstrip('/')}: frames",
            message=report.message,
            hardware_id=str(report.values.get("device", "")),
            values=[KeyValue(key=key, value=_text(value)) for key, value in report.values.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)


def values_of(message: DiagnosticArray, node_name: str) -> dict[str, str] | None:
    """Values that the node (fully qualified name) published, None where it is not in there."""
    for status in message.status:
        if status.name == f"{node_name.lstrip('/')}: frames":
            return {item.key: item.value for item in status.values}
    return None


def _text(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
