"""Finds what would keep a bag from being replayed well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from repsam_ros.bags.reading import BagMessage, read_bag
from repsam_ros.bags.storage import BagInfo, bag_info
from repsam_ros.bags.topics import BagTopics, topic_problems
from repsam_ros.errors import FrameError
from repsam_ros.messages import is_compressed, stamp_to_ns
from repsam_ros.perception.frame import make_frame
from repsam_ros.perception.frame_inbox import CompleteFrame, FrameInbox

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class BagReport:
    """The outcome of a check.

    Attributes:
        rates_hz: Mean rate by topic, after the stamps.
        encodings: Encodings by image topic; of compressed ones their formats.
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
    problems = list(topic_problems(info, topics))
    if problems:
        return BagReport(info, {}, {}, 0, 0, tuple(problems))
    pass_ = _Pass(bool(topics.depth_info), depth_scale_m)
    for entry in read_bag(path, topics):
        pass_.take(entry)
    pass_.inbox.finish()
    problems.extend(pass_.problems())
    return BagReport(
        info=info,
        rates_hz={topic: _rate_hz(stamps) for topic, stamps in pass_.stamps_ns.items()},
        encodings={topic: tuple(sorted(found)) for topic, found in pass_.encodings.items()},
        pairs=pass_.inbox.pairs,
        frames=pass_.frames,
        problems=tuple(problems),
    )


class _Pass:
    """One pass over the messages."""

    def __init__(self, has_depth_info: bool, depth_scale_m: float | None) -> None:
        self.inbox = FrameInbox(self._make, has_depth_info=has_depth_info)
        self.stamps_ns: dict[str, list[int]] = {}
        self.encodings: dict[str, set[str]] = {}
        self.frames = 0
        self._depth_scale_m = depth_scale_m
        self._unusable: dict[str, list[str]] = {}

    def take(self, entry: BagMessage) -> None:
        message = entry.message
        self.stamps_ns.setdefault(entry.topic, []).append(stamp_to_ns(message.header.stamp))
        if entry.stream in ("color", "depth"):
            encoding = message.format if is_compressed(message) else message.encoding
            self.encodings.setdefault(entry.topic, set()).add(str(encoding))
        entry.give_to(self.inbox)

    def _make(self, frame: CompleteFrame) -> None:
        try:
            make_frame(
                frame.color_msg,
                frame.depth_msg,
                frame.info_msg,
                depth_scale_m=self._depth_scale_m,
                depth_info_msg=frame.depth_info_msg,
            )
        except FrameError as error:
            self._unusable.setdefault(error.cause, []).append(str(error))
        else:
            self.frames += 1

    def problems(self) -> Iterator[str]:
        for cause, count in sorted(self.inbox.counts().unpaired.items()):
            yield f"{count} images without a partner: {cause}"
        for cause, count in sorted(self.inbox.pairs_dropped().items()):
            yield f"{count} unusable frames: {cause}"
        for cause, messages in self._unusable.items():
            yield f"{len(messages)} unusable frames: {cause} ({messages[0]})"


def _rate_hz(stamps_ns: list[int]) -> float:
    span_ns = max(stamps_ns) - min(stamps_ns)
    return (len(stamps_ns) - 1) * _NS_PER_S / span_ns if span_ns > 0 else 0.0
