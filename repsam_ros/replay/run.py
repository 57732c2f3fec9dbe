"""Replays a bag through the pipeline, without ROS."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

from repsam_ros import __version__
from repsam_ros.backends import BackendInfo
from repsam_ros.bags import BagFrame, BagInfo, BagTopics, bag_info, find_topics
from repsam_ros.errors import FrameError
from repsam_ros.perception.frame import make_frame
from repsam_ros.perception.frame_inbox import FrameInbox
from repsam_ros.perception.pacing import FramePacer
from repsam_ros.perception.tracking import InstanceTracker, with_ids
from repsam_ros.progress import track
from repsam_ros.replay.config import ReplaySettings
from repsam_ros.replay.results import (
    finish_replay,
    instance_count,
    latency_ms,
    remove_old_results,
    write_frame,
)
from repsam_ros.structures import Instances, RgbdFrame


class Segmenter(Protocol):
    """What a replay needs of the pipeline."""

    @property
    def info(self) -> BackendInfo: ...

    def segment(self, frame: RgbdFrame) -> Instances: ...


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
        write_frame(out, frame, instances)
        count = instance_count(instances.labels)
        outcome.frames.append({"stamp_ns": frame.stamp_ns, "name": entry.name, "instances": count})
    summary = {"bag": str(bag), "version": __version__, "topics": topics.by_stream()}
    summary |= _summary(frames.inbox, outcome, pipeline.info)
    finish_replay(bag, out, summary, settings.truth)
    return summary


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
