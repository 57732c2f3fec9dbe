"""Finds what would keep a bag from being replayed well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from repsam_ros.bags.reading import BagMessage, read_bag
from repsam_ros.bags.storage import BagInfo, bag_info
from repsam_ros.bags.topics import STREAM_TYPES, BagTopics
from repsam_ros.errors import FrameError
from repsam_ros.messages import stamp_to_ns
from repsam_ros.perception.frame import make_frame
from repsam_ros.perception.sync import StampSynchronizer

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class BagReport:
    """The outcome of a check.

    Attributes:
        rates_hz: Mean rate by topic, after the stamps.
        encodings: Encodings by image topic.
        pairs: Colour and depth images that pair up.
        frames: Pairs that make a usable frame.
        problems: What is wrong, one sentence each; empty for a good bag.
    """

    info: BagInfo
    rates_hz: dict[str, float]
    encodings: dict[str, tuple[str, ...]]
    pairs: int
    frames: int
    problems: tuple[str, ...]


def check_bag(
    path: Path, topics: BagTopics | None = None, depth_scale_m: float | None = None
) -> BagReport:
    """Reads a whole bag and makes every frame of it.

    Raises:
        DatasetError: The bag cannot be read: missing, corrupt, truncated or empty.
    """
    topics = topics or BagTopics()
    info = bag_info(path)
    problems = list(_topic_problems(info, topics))
    if problems:
        return BagReport(info, {}, {}, 0, 0, tuple(problems))
    pass_ = _Pass(depth_scale_m)
    for entry in read_bag(path, topics):
        pass_.take(entry)
    problems.extend(pass_.problems())
    return BagReport(
        info=info,
        rates_hz={topic: _rate_hz(stamps) for topic, stamps in pass_.stamps_ns.items()},
        encodings={topic: tuple(sorted(found)) for topic, found in pass_.encodings.items()},
        pairs=pass_.sync.counts().pairs,
        frames=pass_.frames,
        problems=tuple(problems),
    )


class _Pass:
    """One pass over the messages."""

    def __init__(self, depth_scale_m: float | None) -> None:
        self.sync: StampSynchronizer[BagMessage] = StampSynchronizer()
        self.stamps_ns: dict[str, list[int]] = {}
        self.encodings: dict[str, set[str]] = {}
        self.frames = 0
        self._depth_scale_m = depth_scale_m
        self._info: BagMessage | None = None
        self._unusable: dict[str, list[str]] = {}

    def take(self, entry: BagMessage) -> None:
        message = entry.message
        stamp_ns = stamp_to_ns(message.header.stamp)
        self.stamps_ns.setdefault(entry.topic, []).append(stamp_ns)
        if entry.stream == "info":
            self._info = entry
            return
        self.encodings.setdefault(entry.topic, set()).add(str(message.encoding))
        for color, depth in self.sync.add(entry.stream, stamp_ns, entry):
            info_msg = self._info.message if self._info else None
            try:
                make_frame(
                    color.message, depth.message, info_msg, depth_scale_m=self._depth_scale_m
                )
            except FrameError as error:
                self._unusable.setdefault(error.cause, []).append(str(error))
            else:
                self.frames += 1

    def problems(self) -> Iterator[str]:
        for cause, count in sorted(self.sync.counts().unpaired.items()):
            yield f"{count} images without a partner: {cause}"
        for cause, messages in self._unusable.items():
            yield f"{len(messages)} unusable frames: {cause} ({messages[0]})"


def _topic_problems(info: BagInfo, topics: BagTopics) -> Iterator[str]:
    there = {topic.name: topic for topic in info.topics}
    for stream, name in topics.by_stream().items():
        topic = there.get(name)
        if topic is None:
            yield f"missing {stream} topic {name}"
        elif topic.msgtype != STREAM_TYPES[stream]:
            yield f"{name} holds {topic.msgtype}, expected {STREAM_TYPES[stream]}"
        elif topic.count == 0:
            yield f"{stream} topic {name} holds no messages"


def _rate_hz(stamps_ns: list[int]) -> float:
    span_ns = max(stamps_ns) - min(stamps_ns)
    return (len(stamps_ns) - 1) * _NS_PER_S / span_ns if span_ns > 0 else 0.0
