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
from repsam_ros.bags import BagFrame, BagTopics, bag_info, read_frames
from repsam_ros.errors import FrameError
from repsam_ros.images import write_png
from repsam_ros.paths import atomic_path
from repsam_ros.perception.frame import make_frame
from repsam_ros.perception.sync import DEFAULT_SLOP_NS, StampSynchronizer
from repsam_ros.progress import track
from repsam_ros.structures import Instances, RgbdFrame


class Segmenter(Protocol):
    """What a replay needs of the pipeline."""

    @property
    def info(self) -> BackendInfo: ...

    def segment(self, frame: RgbdFrame) -> Instances: ...


@dataclasses.dataclass(frozen=True)
class ReplaySettings:
    """How the bag is read.

    Attributes:
        slop_ns: Largest distance of the stamps of one pair.
        depth_scale_m: Length of one depth unit, None = what the encoding says (REP-118).
    """

    topics: BagTopics = dataclasses.field(default_factory=BagTopics)
    slop_ns: int = DEFAULT_SLOP_NS
    depth_scale_m: float | None = None


def replay_bag(
    bag: Path, out: Path, pipeline: Segmenter, settings: ReplaySettings | None = None
) -> dict[str, Any]:
    """Segments every frame of ``bag``; writes ``labels/<stamp_ns>.png`` and ``summary.json``.

    A frame that cannot be used is counted by its cause and the replay goes on.

    Returns:
        The summary: each image received is published, dropped with its cause, or the partner of
        one of those.

    Raises:
        DatasetError: The bag cannot be read.
    """
    settings = settings or ReplaySettings()
    info = bag_info(bag)
    total = min(
        (topic.count for topic in info.topics if topic.name == settings.topics.color), default=0
    )
    _remove_old_labels(out / "labels")
    synchronizer: StampSynchronizer[Any] = StampSynchronizer(settings.slop_ns)
    dropped: Counter[str] = Counter()
    frames: list[dict[str, Any]] = []
    latencies_s: list[float] = []
    for entry in track(read_frames(bag, synchronizer, settings.topics), total, "replay"):
        start_s = time.perf_counter()
        try:
            instances = _segment(entry, pipeline, settings)
        except FrameError as error:
            dropped[error.cause] += 1
            continue
        latencies_s.append(time.perf_counter() - start_s)
        write_png(out / "labels" / f"{entry.stamp_ns}.png", instances.labels)
        frames.append({"stamp_ns": entry.stamp_ns, "name": entry.name, "instances": len(instances)})
    counts = synchronizer.counts()
    summary = {
        "bag": str(bag),
        "version": __version__,
        "backend": dataclasses.asdict(pipeline.info),
        "received": {name: counts.received[name] for name in ("color", "depth")},
        "pairs": counts.pairs,
        "published": len(frames),
        "dropped": dict(sorted((counts.unpaired + dropped).items())),
        "latency_ms": latency_ms(latencies_s),
        "frames": frames,
    }
    write_summary(out / "summary.json", summary)
    return summary


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


def _segment(entry: BagFrame, pipeline: Segmenter, settings: ReplaySettings) -> Instances:
    frame = make_frame(
        entry.color_msg, entry.depth_msg, entry.info_msg, depth_scale_m=settings.depth_scale_m
    )
    return pipeline.segment(frame)


def _remove_old_labels(folder: Path) -> None:
    """Label maps of another replay would pass for results of this one."""
    for path in folder.glob("*.png"):
        if path.stem.isdecimal():
            path.unlink()
