"""Replays a bag through the pipeline, without ROS."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from repsam_ros import __version__
from repsam_ros.backends import BackendInfo
from repsam_ros.bags import BagFrame, BagFrames, BagInfo, BagTopics, bag_info, find_topics
from repsam_ros.errors import ConfigError, FrameError
from repsam_ros.images import encode_jpeg, write_png
from repsam_ros.paths import atomic_path, write_text
from repsam_ros.perception.frame import make_frame
from repsam_ros.perception.frame_inbox import FrameInbox
from repsam_ros.perception.pacing import FramePacer
from repsam_ros.perception.parameters import NODE_PARAMETERS
from repsam_ros.perception.sync import DEFAULT_QUEUE_SIZE
from repsam_ros.perception.tracking import InstanceTracker, TrackingSettings, with_ids
from repsam_ros.presentation.overlay import draw_overlay
from repsam_ros.progress import track
from repsam_ros.replay.report import write_replay_report
from repsam_ros.replay.truth import Truth, add_scores
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
        sync_queue: Images of one stream that wait for the other.
        frame_step: Every n-th frame is worked on; the others are counted as skipped.
        max_rate_hz: Most frames a second, by their stamps; others count as rate_limit; 0 = all.
        depth_scale_m: Length of one depth unit, None = what the encoding says (REP-118).
        tracking: How ids are kept from frame to frame.
        truth: What the label maps are scored against.
    """

    topics: BagTopics = dataclasses.field(default_factory=BagTopics)
    slop_s: float = 0.03
    sync_queue: int = DEFAULT_QUEUE_SIZE
    frame_step: int = 1
    max_rate_hz: float = 0.0
    depth_scale_m: float | None = None
    tracking: TrackingSettings = dataclasses.field(default_factory=TrackingSettings)
    truth: Truth = dataclasses.field(default_factory=Truth)

    def __post_init__(self) -> None:
        for item in NODE_PARAMETERS:  # what the node refuses is refused here
            value = getattr(self, item.name, None)
            if value is not None and (reason := item.problem(value)):
                raise ConfigError(reason)

    def frames(self, bag: Path) -> BagFrames:
        """The frames of a bag."""
        return BagFrames(bag, self.topics, round(self.slop_s * 1e9), self.sync_queue)


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
    info = bag_info(bag)
    topics, frames, outcome = find_topics(info, settings.topics), settings.frames(bag), _Outcome()
    pacer, tracker = FramePacer(), InstanceTracker(settings.tracking)
    for entry in track(frames, _color_count(info, topics), "replay"):
        refusal = pacer.refusal(entry.stamp_ns, settings.frame_step, settings.max_rate_hz)
        if refusal is not None:
            outcome.dropped[refusal] += 1
            continue
        start_s = time.perf_counter()
        try:
            frame, instances = _segmented(entry, pipeline, settings, tracker)
        except FrameError as error:
            outcome.dropped[error.cause] += 1
            continue
        outcome.latencies_s.append(time.perf_counter() - start_s)
        _write_result(out, frame, instances)
        count = instance_count(instances.labels)
        outcome.frames.append({"stamp_ns": frame.stamp_ns, "name": entry.name, "instances": count})
    summary = {"bag": str(bag), "version": __version__, "topics": topics.by_stream()}
    summary |= _summary(frames.inbox, outcome, pipeline.info)
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


def _summary(inbox: FrameInbox, outcome: _Outcome, info: BackendInfo) -> dict[str, Any]:
    counts = inbox.counts()
    dropped = counts.unpaired + inbox.pairs_dropped() + outcome.dropped
    return {
        "backend": dataclasses.asdict(info),
        "received": {name: counts.received[name] for name in ("color", "depth")},
        "pairs": counts.pairs,
        "published": len(outcome.frames),
        "dropped": dict(sorted(dropped.items())),
        "latency_ms": latency_ms(outcome.latencies_s),
        "latencies_ms": [round(1e3 * seconds, 3) for seconds in outcome.latencies_s],
        "frames": outcome.frames,
    }


def _segmented(
    entry: BagFrame, pipeline: Segmenter, settings: ReplaySettings, tracker: InstanceTracker
) -> tuple[RgbdFrame, Instances]:
    frame = make_frame(
        entry.color_msg,
        entry.depth_msg,
        entry.info_msg,
        depth_scale_m=settings.depth_scale_m or None,
        depth_info_msg=entry.depth_info_msg,
    )
    instances = pipeline.segment(frame)
    if settings.tracking.enabled:
        instances = with_ids(instances, tracker.update(instances.labels))
    return frame, instances


def _color_count(info: BagInfo, topics: BagTopics) -> int:
    return sum(topic.count for topic in info.topics if topic.name == topics.color)


def instance_count(labels: NDArray[np.uint16]) -> int:
    """How many instances a label map has; tracked ids leave gaps."""
    return int(np.count_nonzero(np.bincount(labels.ravel())[1:]))


def latency_ms(latencies_s: list[float]) -> dict[str, float | None]:
    """Percentiles in milliseconds; None where nothing was measured."""
    if not latencies_s:
        return {"p50": None, "p95": None, "p99": None}
    p50, p95, p99 = (1e3 * np.percentile(latencies_s, (50, 95, 99))).round(3).tolist()
    return {"p50": p50, "p95": p95, "p99": p99}


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    """Writes JSON atomically."""
    write_text(path, json.dumps(summary, indent=2) + "\n")


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
