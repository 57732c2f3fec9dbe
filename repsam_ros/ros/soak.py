"""Runs the nodes for a long time at a steady rate and says what they lost, kept and took."""

from __future__ import annotations

import os
import platform
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sensor_msgs.msg import Image, PointCloud2

from repsam_ros import __version__
from repsam_ros.bags import BagFrames, BagTopics, bag_info, find_topics
from repsam_ros.bags.topics import BagStream
from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.evaluation.soak.measures import (
    age_excess_s,
    newer_on_its_way_s,
    node_account,
    overhead_ms,
    rate_hz,
    unaccounted_clouds,
    unaccounted_images,
)
from repsam_ros.evaluation.soak.table import markdown
from repsam_ros.messages.wire import typestore
from repsam_ros.paths import write_text
from repsam_ros.replay.results import latency_ms, write_summary
from repsam_ros.ros.bag_player import make_publishers
from repsam_ros.ros.frame_statistics import DURATIONS_KEPT
from repsam_ros.ros.live_run import PERCEPTION, PLANNER, started_nodes
from repsam_ros.ros.processes import ProcessGroup
from repsam_ros.ros.qos import input_qos
from repsam_ros.ros.session import Session
from repsam_ros.ros.usage import UsageRecorder

_FRAMES_KEPT = 16  # of the bag; 25 MB at 640x480
_QUEUE = 50
_DRAIN_S = 60.0
# Before this the allocators still settle, and a trend of megabytes an hour cannot be told.
_JUDGED_MINUTES = 20.0
_STAMP = struct.Struct("<iI")
_STAMP_AT = 4  # after the encapsulation; every message here begins with its header


@dataclass(frozen=True)
class SoakSettings:
    """What runs, and what makes it a failure.

    Attributes:
        rate_hz: Of the frames sent.
        max_growth_mb_h: Largest trend of a node's memory, judged in runs of 20 minutes or more.
        parameters: Of the perception node; values as YAML.
    """

    minutes: float = 60.0
    rate_hz: float = 10.0
    max_growth_mb_h: float = 5.0
    topics: BagTopics = field(default_factory=BagTopics)
    parameters: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (0 < self.minutes <= 60 * 24 * 30 and 0 < self.rate_hz <= 1000):
            raise ConfigError(f"no soak of {self.minutes:g} minutes at {self.rate_hz:g} Hz")


def run_soak(bag: Path, out: Path, settings: SoakSettings) -> dict[str, Any]:
    """Sends the first frames of ``bag`` over and over, stamped with the time they are sent at.

    Written are ``memory.png``, ``soak.md`` and, last, ``soak.json``, whose ``problems`` is empty
    when nothing crashed, grew or got lost. A node that ends by itself is a problem as well: the
    record up to there is written.

    Raises:
        DatasetError: The bag cannot be read.
        ProcessError: A node did not start.
    """
    topics = find_topics(bag_info(bag), settings.topics)
    frames = _wire_frames(bag, topics)
    (out / "soak.json").unlink(missing_ok=True)
    with started_nodes(planner=True, parameters=settings.parameters, topics=topics) as (
        processes,
        session,
    ):
        run = _Run(settings, topics, session, processes)
        session.bring_up(PERCEPTION, PLANNER)
        run.connect()
        run.send(frames)
        run.drain()
        summary = run.summary(bag)
    run.usage.draw_memory(out / "memory.png")
    write_text(out / "soak.md", markdown(summary))
    write_summary(out / "soak.json", summary)
    return summary


def _wire_frames(bag: Path, topics: BagTopics) -> list[dict[BagStream, bytearray]]:
    frames = []
    for frame in BagFrames(bag, topics):
        messages: dict[BagStream, Any] = {"info": frame.info_msg}
        messages["depth_info"] = frame.depth_info_msg
        messages |= {"depth": frame.depth_msg, "color": frame.color_msg}
        frames.append(
            {
                stream: bytearray(typestore().serialize_cdr(msg, msg.__msgtype__))
                for stream, msg in messages.items()
                if msg is not None
            }
        )
        if len(frames) == _FRAMES_KEPT:
            break
    if not frames:
        raise DatasetError(f"{bag}: no complete frame")
    return frames


class _Run:
    """One run; callbacks come in the session's thread."""

    def __init__(
        self,
        settings: SoakSettings,
        topics: BagTopics,
        session: Session,
        processes: ProcessGroup,
    ) -> None:
        self._settings, self._session, self._processes = settings, session, processes
        self.usage = UsageRecorder(processes.children)
        self._sent_s: dict[int, float] = {}
        self._labels: list[tuple[int, float]] = []
        self._grasps = 0
        self._crash = ""
        qos = input_qos("reliable", _QUEUE)
        node = session.node
        self._publishers = make_publishers(node, topics, qos)
        # As bytes: this process must not be what is too slow.
        node.create_subscription(Image, f"{PERCEPTION}/labels", self._on_labels, qos, raw=True)
        node.create_subscription(
            PointCloud2, f"{PLANNER}/grasp_candidates", self._on_grasps, qos, raw=True
        )

    def connect(self) -> None:
        """Waits until everyone has found everyone."""
        outputs = {
            PERCEPTION: ("labels", "points", "support_plane", "view_pose"),
            PLANNER: ("grasp_candidates",),
        }

        def are_linked() -> bool:
            return all(
                publisher.get_subscription_count() for publisher in self._publishers.values()
            ) and all(
                int(self._values(node).get(f"subscribers_{name}", 0))
                for node, names in outputs.items()
                for name in names
            )

        self._session.wait_until(are_linked, 60.0, "the nodes to find each other")

    def send(self, frames: list[dict[BagStream, bytearray]]) -> None:
        """Sends frames at the rate until the time is over or a node is gone."""
        period_s = 1 / self._settings.rate_hz
        start_s = time.monotonic()
        self.usage.start()
        count = round(self._settings.minutes * 60 * self._settings.rate_hz)
        for number in range(count):
            delay_s = start_s + number * period_s - time.monotonic()
            time.sleep(max(delay_s, 0.0))
            stamp_ns = time.time_ns()
            self._sent_s[stamp_ns] = time.monotonic()
            for stream, raw in frames[number % len(frames)].items():
                _STAMP.pack_into(raw, _STAMP_AT, *divmod(stamp_ns, 1_000_000_000))
                self._publishers[stream].publish(bytes(raw))
            # After the frame, which would be late.
            if self.usage.is_due:
                if self._is_a_node_gone():
                    return
                self.usage.sample()

    def drain(self) -> None:
        """Waits until both nodes are through with what was sent."""
        end_s = time.monotonic() + _DRAIN_S
        quiet_s = time.monotonic()
        before: tuple[Any, ...] = ()
        while not self._is_a_node_gone() and time.monotonic() < end_s:
            # Diagnostics come once a second: the same twice, and idle, is the end.
            now = (self._values(PERCEPTION).get("received_color"), len(self._labels), self._grasps)
            busy = {self._values(node).get("busy") for node in (PERCEPTION, PLANNER)}
            if now != before or busy != {"False"}:
                before, quiet_s = now, time.monotonic()
            if time.monotonic() - quiet_s > 3.0:
                return
            time.sleep(0.1)

    def summary(self, bag: Path) -> dict[str, Any]:
        """All figures, and the problems."""
        perception, planner = self._values(PERCEPTION), self._values(PLANNER)
        sent_s = [self._sent_s[stamp_ns] for stamp_ns, _ in self._labels]
        came_s = [time_s for _, time_s in self._labels]
        end_to_end_s = [came - sent for sent, came in zip(sent_s, came_s, strict=True)]
        result = {
            "bag": bag.name,
            "version": __version__,
            "machine": {
                "cpus": os.cpu_count(),
                "system": platform.platform(),
                "load_average": os.getloadavg(),
            },
            "minutes": self._settings.minutes,
            "rate_hz": self._settings.rate_hz,
            "frames_sent": len(self._sent_s),
            "perception": node_account(perception, ("color", "depth", "camera_info")),
            "grasp_planner": node_account(planner, ("points",)),
            "results_received": {"labels": len(self._labels), "grasps": self._grasps},
            "unaccounted": {} if self._crash else self._unaccounted(perception, planner),
            "lost_on_the_way": {} if self._crash else self._lost_on_the_way(perception, planner),
            "frame_rate_hz": rate_hz(came_s),
            "end_to_end_ms": latency_ms(end_to_end_s),
            "overhead_p50_ms": overhead_ms(end_to_end_s[-DURATIONS_KEPT:], perception),
            "age_excess_frames": self._age_excess_frames(sent_s, came_s),
            "newer_on_its_way_ms": latency_ms(
                newer_on_its_way_s(list(self._sent_s.values()), sent_s, came_s).tolist()
            ),
            "usage": self.usage.summary(),
        }
        return result | {"problems": list(self._problems(result))}

    def _age_excess_frames(self, sent_s: list[float], came_s: list[float]) -> float | None:
        excess_s = age_excess_s(sent_s, came_s)
        return round(excess_s * self._settings.rate_hz, 2) if len(sent_s) > 1 else None

    def _problems(self, result: dict[str, Any]) -> Iterator[str]:
        if self._crash:
            yield self._crash
        for what, count in result["unaccounted"].items():
            if count:
                yield f"{count} {what} unaccounted for"
        is_judged = self.usage.duration_s >= 60 * _JUDGED_MINUTES
        for name, usage in result["usage"].items():
            growth, limit = usage["memory_growth_mb_h"], self._settings.max_growth_mb_h
            if is_judged and growth > limit:
                yield f"{name} grows by {growth:.1f} MB an hour, more than {limit:g}"

    def _unaccounted(self, perception: dict[str, str], planner: dict[str, str]) -> dict[str, int]:
        """What a node received and says nothing about."""
        return {
            "images in perception": unaccounted_images(perception),
            "clouds in the planner": unaccounted_clouds(planner),
        }

    def _lost_on_the_way(
        self, perception: dict[str, str], planner: dict[str, str]
    ) -> dict[str, int]:
        """What the middleware overwrote because its reader was starved: no node can know."""
        sent, published = len(self._sent_s), int(perception["published"])
        return {
            "color": sent - int(perception["received_color"]),
            "depth": sent - int(perception["received_depth"]),
            "camera_info": sent - int(perception["received_camera_info"]),
            "points": published - int(planner["received_points"]),
            "labels": published - len(self._labels),
            "grasps": int(planner["published"]) - self._grasps,
        }

    def _is_a_node_gone(self) -> bool:
        for child in self._processes.children:
            if child.exit_code is not None:
                self._crash = f"{child.label} ended with {child.exit_code}: {child.last_words()}"
        return bool(self._crash)

    def _values(self, node: str) -> dict[str, str]:
        return self._session.diagnostics(node)

    def _on_labels(self, raw: bytes) -> None:
        now_s = time.monotonic()
        sec, nanosec = _STAMP.unpack_from(raw, _STAMP_AT)
        self._labels.append((sec * 1_000_000_000 + nanosec, now_s))

    def _on_grasps(self, raw: bytes) -> None:
        self._grasps += 1
