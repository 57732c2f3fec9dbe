"""Quality of service of the topics, and what does not match."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)

from repsam_ros.node_parameters import RELIABILITIES

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks


def input_qos(reliability: str, depth: int, *, latched: bool = False) -> QoSProfile:
    """What a camera stream is subscribed with.

    Args:
        latched: What was published before is heard too, from publishers that keep it.
    """
    policies = (ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE)
    return QoSProfile(
        reliability=policies[RELIABILITIES.index(reliability)],
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
    )


def output_qos(depth: int) -> QoSProfile:
    """What results are published with: reliable serves subscribers of either kind."""
    return input_qos("reliable", depth)


class QosMonitor:
    """Says aloud which topics have a peer that will never hear or be heard.

    Args:
        warn: Logs one line.
    """

    def __init__(self, warn: Callable[[str], Any]) -> None:
        self._warn = warn
        self.incompatible: Counter[str] = Counter()

    def subscription_events(self, topic: str) -> SubscriptionEventCallbacks:
        """Event callbacks for a subscription to ``topic`` (its resolved name)."""
        return SubscriptionEventCallbacks(
            incompatible_qos=lambda event: self._note(topic, event, "a publisher offers less")
        )

    def publisher_events(self, topic: str) -> PublisherEventCallbacks:
        """Event callbacks for a publisher of ``topic`` (its resolved name)."""
        return PublisherEventCallbacks(
            incompatible_qos=lambda event: self._note(topic, event, "a subscriber asks for more")
        )

    def _note(self, topic: str, event: Any, what: str) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        self.incompatible[topic] = event.total_count
        self._warn(
            f"incompatible QoS on {topic}: {what} than this node ({policy}); nothing will get"
            " through: set the parameter qos.reliability, or the other side's profile"
        )
