"""Replays a bag through the pipeline, without ROS."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from repsam_ros import __version__
from repsam_ros.backends import BackendInfo
from repsam_ros.bags import BagFrame, BagFrames, BagTopics, bag_info, find_topics
from repsam_ros.errors import ConfigError, FrameError
from repsam_ros.evaluation.overlay import draw_overlay
from repsam_ros.evaluation.replay_report import write_replay_report
from repsam_ros.evaluation.replay_truth import Truth, add_scores
from repsam_ros.images import encode_jpeg, write_png
from repsam_ros.paths import atomic_path
from repsam_ros.perception.frame import make_frame
from repsam_ros.perception.frame_inbox import FrameInbox
from repsam_ros.progress import track
from repsam_ros.structures import Instances, RgbdFrame


class Segmenter(Protocol):
    """What a replay needs of the pipeline."""

    @property
    def info(self) -> BackendInfo: ...

    def segment(self, frame: RgbdFrame) -> Instances: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """How the bag is read.

    Attributes:
        slop_s: Largest distance of the stamps of one pair.
        depth_scale_m: Length of one depth unit, None = what the encoding says (REP-118).
        truth: What the label maps are scored against.
    """

    topics: BagTopics = dataclasses.field(default_factory=BagTopics)
    slop_s: float = 0.03
    depth_scale_m: float | None = None
    truth: Truth = dataclasses.field(default_factory=Truth)

    def __post_init__(self) -> None:
        if not 0 <= self.slop_s <= 1:
            raise ConfigError(f"slop_s must be between 0 and 1 s, got {self.slop_s}")


def replay_bag(
    bag: Path, out: Path, pipeline: Segmenter, settings: ReplaySettings | None = None
) -> dict[str, Any]:
    """Segments every frame of ``bag``.

    Written are ``labels/<stamp_ns>.png``, ``overlays/<stamp_ns>.jpg``, ``report.html`` and, last,
    ``summary.json``. A frame that cannot be used is counted by its cause and the replay goes on.

    Returns:
        The summary: each image received is published, dropped with its cause, or the partner of
        one of those.

    Raises:
        DatasetError: The bag cannot be read.
    """
    settings = settings or ReplaySettings()
    settings.truth.check(bag)
    remove_old_results(out)
    topics = find_topics(bag_info(bag), settings.topics)
    frames = BagFrames(bag, topics, round(settings.slop_s * 1e9))
    outcome = _Outcome()
    for entry in track(frames, _color_count(bag, topics), "replay"):
        start_s = time.perf_counter()
        try:
            frame = _made(entry, settings)
            instances = pipeline.segment(frame)
        except FrameError as error:
            outcome.dropped[error.cause] += 1
            continue
        outcome.latencies_s.append(time.perf_counter() - start_s)
        _write_result(out, frame, instances)
        outcome.frames.append(
            {"stamp_ns": frame.stamp_ns, "name": entry.name, "instances": len(instances)}
        )
    summary = _summary(bag, frames.inbox, outcome, pipeline.info)
    finish_replay(bag, out, summary, settings.truth)
    return summary


def finish_replay(bag: Path, out: Path, summary: dict[str, Any], truth: Truth) -> None:
    """Adds scores where a truth is given; writes the report and, last, the summary."""
    if truth.is_given:
        add_scores(bag, out, summary, truth)
    write_replay_report(out, summary)
    write_summary(out / "summary.json", summary)


@dataclasses.dataclass
class _Outcome:
    frames: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    latencies_s: list[float] = dataclasses.field(default_factory=list)
    dropped: Counter[str] = dataclasses.field(default_factory=Counter)


def _summary(bag: Path, inbox: FrameInbox, outcome: _Outcome, info: BackendInfo) -> dict[str, Any]:
    counts = inbox.counts()
    dropped = counts.unpaired + inbox.pairs_dropped() + outcome.dropped
    return {
        "bag": str(bag),
        "version": __version__,
        "backend": dataclasses.asdict(info),
        "received": {name: counts.received[name] for name in ("color", "depth")},
        "pairs": counts.pairs,
        "published": len(outcome.frames),
        "dropped": dict(sorted(dropped.items())),
        "latency_ms": latency_ms(outcome.latencies_s),
        "latencies_ms": [round(1e3 * seconds, 3) for seconds in outcome.latencies_s],
        "frames": outcome.frames,
    }


def _made(entry: BagFrame, settings: ReplaySettings) -> RgbdFrame:
    return make_frame(
        entry.color_msg,
        entry.depth_msg,
        entry.info_msg,
        depth_scale_m=settings.depth_scale_m,
        depth_info_msg=entry.depth_info_msg,
    )


def _color_count(bag: Path, topics: BagTopics) -> int:
    return sum(topic.count for topic in bag_info(bag).topics if topic.name == topics.color)


def latency_ms(latencies_s: list[float]) -> dict[str, float | None]:
    """Percentiles in milliseconds; None where nothing was measured."""
    if not latencies_s:
        return {"p50": None, "p95": None, "p99": None}
    p50, p95, p99 = (1e3 * np.percentile(latencies_s, (50, 95, 99))).round(3).tolist()
    return {"p50": p50, "p95": p95, "p99": p99}


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    """Writes JSON atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n")


def _write_result(out: Path, frame: RgbdFrame, instances: Instances) -> None:
    write_png(out / "labels" / f"{frame.stamp_ns}.png", instances.labels)
    with atomic_path(out / "overlays" / f"{frame.stamp_ns}.jpg") as temporary:
        temporary.write_bytes(encode_jpeg(draw_overlay(frame.color, instances)))


def remove_old_results(out: Path) -> None:
    """Results of another replay would pass for those of this one."""
    (out / "summary.json").unlink(missing_ok=True)
    for pattern in ("labels/*.png", "overlays/*.jpg"):
        for path in out.glob(pattern):
            if path.stem.isdecimal():
                path.unlink()
