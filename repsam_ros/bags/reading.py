"""Reads bags; whatever is wrong with one is a :class:`DatasetError` that names it."""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError

from repsam_ros.bags.topics import CUSTOM_KEY, IMAGE_TYPE, STREAM_TYPES, BagTopics, Stream
from repsam_ros.errors import DatasetError, FrameError
from repsam_ros.messages import labels_from_image, stamp_to_ns
from repsam_ros.messages.wire import decode
from repsam_ros.perception.frame_inbox import CompleteFrame, FrameInbox
from repsam_ros.perception.sync import DEFAULT_SLOP_NS

_SQLITE_DAMAGE: tuple[type[Exception], ...] = (sqlite3.Error,)
try:
    import apsw
except ImportError:  # rosbags reads with Python's own sqlite3 up to some version of 0.11
    pass
else:
    _SQLITE_DAMAGE = (sqlite3.Error, apsw.Error)

# What rosbags and the storage libraries below it raise on damaged files.
_DAMAGE: tuple[type[Exception], ...] = (
    ReaderError,
    SerdeError,
    *_SQLITE_DAMAGE,
    OSError,
    struct.error,
    zlib.error,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    EOFError,
    MemoryError,
)


@dataclass(frozen=True)
class TopicInfo:
    """One topic of a bag."""

    name: str
    msgtype: str
    count: int


@dataclass(frozen=True)
class BagInfo:
    """What a bag's metadata says.

    Attributes:
        names: Frame name by stamp of the colour image in ns; empty for bags of other writers.
        checksums: CRC-32 of every message by topic, in recorded order; empty likewise.
    """

    path: Path
    storage: str
    topics: tuple[TopicInfo, ...]
    start_ns: int
    duration_ns: int
    names: dict[int, str] = field(default_factory=dict)
    checksums: dict[str, list[int]] = field(default_factory=dict)

    @property
    def message_count(self) -> int:
        return sum(topic.count for topic in self.topics)


@dataclass(frozen=True)
class BagMessage:
    """One recorded message.

    Attributes:
        bag: The bag it lies in.
        time_ns: When it was recorded.
        raw: As it goes over the wire (CDR).
    """

    bag: Path
    stream: Stream
    topic: str
    msgtype: str
    time_ns: int
    raw: bytes

    @cached_property
    def message(self) -> Any:
        """The message object.

        Raises:
            DatasetError: The bytes are not such a message.
        """
        try:
            return decode(self.raw, self.msgtype)
        except FrameError as error:
            raise DatasetError(
                f"{self.bag}: corrupt bag: the message of {self.topic} recorded at"
                f" {self.time_ns} ns: {error}"
            ) from error


@dataclass(frozen=True)
class BagFrame:
    """A pair of images and their camera info, with the name the frame was recorded under."""

    name: str | None
    stamp_ns: int
    color_msg: Any
    depth_msg: Any
    info_msg: Any


def bag_info(path: Path) -> BagInfo:
    """What the metadata of a bag says.

    Raises:
        DatasetError: The bag is missing, corrupt or empty.
    """
    with _opened(path) as reader:
        return _info(path, reader)


def read_bag(path: Path, topics: BagTopics | None = None) -> Iterator[BagMessage]:
    """The messages of colour, depth and camera info, in recorded order.

    Raises:
        DatasetError: The bag is missing, corrupt, truncated or empty, or lacks a topic.
    """
    topics = topics or BagTopics()
    with _opened(path) as reader:
        info = _info(path, reader)
        streams = {topic: stream for stream, topic in topics.by_stream().items()}
        _check_topics(info, topics)
        connections = [item for item in reader.connections if item.topic in streams]
        expected = Counter({item.topic: item.msgcount for item in connections})
        found: Counter[str] = Counter()
        for connection, time_ns, raw in _raw_messages(path, reader, connections):
            topic = connection.topic
            _check_sum(info, topic, found[topic], raw)
            found[topic] += 1
            yield BagMessage(path, streams[topic], topic, connection.msgtype, time_ns, bytes(raw))
        for topic, count in expected.items():
            if found[topic] != count:
                raise DatasetError(
                    f"{path}: corrupt bag: {found[topic]} of {count} messages of {topic} found"
                )


def read_label_maps(path: Path, topic: str) -> Iterator[tuple[int, NDArray[np.uint16]]]:
    """Stamps and (H, W) label maps of an image topic, in recorded order.

    Raises:
        DatasetError: The bag cannot be read, or the topic is missing or holds no label maps.
    """
    with _opened(path) as reader:
        info = _info(path, reader)
        _check_topic(info, "label", topic, IMAGE_TYPE)
        connections = [item for item in reader.connections if item.topic == topic]
        for index, (connection, _, raw) in enumerate(_raw_messages(path, reader, connections)):
            _check_sum(info, topic, index, raw)
            try:
                message = decode(raw, connection.msgtype)
                yield stamp_to_ns(message.header.stamp), labels_from_image(message)
            except FrameError as error:
                raise DatasetError(f"{path}: {topic}: {error}") from error


class BagFrames:
    """The frames of a bag, put together from the recorded order as the live node does it.

    Iterating reads the bag; the messages of a frame are not checked yet.

    Attributes:
        inbox: Pairs the images; its counts say what came to nothing.

    Raises:
        DatasetError: While iterating, as :func:`read_bag`, or a message is broken.
    """

    def __init__(
        self, path: Path, topics: BagTopics | None = None, slop_ns: int = DEFAULT_SLOP_NS
    ) -> None:
        self._path, self._topics = path, topics
        self._complete: list[CompleteFrame] = []
        self.inbox = FrameInbox(self._complete.append, slop_ns)

    def __iter__(self) -> Iterator[BagFrame]:
        names = bag_info(self._path).names
        for entry in read_bag(self._path, self._topics):
            if entry.stream == "info":
                self.inbox.add_info(entry.message)
            else:
                self.inbox.add_image(entry.stream, entry.message)
            yield from self._completed(names)
        self.inbox.finish()
        yield from self._completed(names)

    def _completed(self, names: dict[int, str]) -> Iterator[BagFrame]:
        for frame in self._complete:
            stamp_ns = stamp_to_ns(frame.color_msg.header.stamp)
            messages = (frame.color_msg, frame.depth_msg, frame.info_msg)
            yield BagFrame(names.get(stamp_ns), stamp_ns, *messages)
        self._complete.clear()


@contextmanager
def _opened(path: Path) -> Iterator[Reader]:
    if not path.exists():
        raise DatasetError(f"{path}: no such bag")
    if path.is_dir() and not (path / "metadata.yaml").is_file():
        raise DatasetError(f"{path}: no metadata.yaml, not a bag (`ros2 bag reindex` restores it)")
    try:
        reader = Reader(path)
        reader.open()
    except _DAMAGE as error:
        raise DatasetError(f"{path}: corrupt bag: {_reason(error)}") from error
    try:
        yield reader
    finally:
        reader.close()


def _raw_messages(
    path: Path, reader: Reader, connections: list[Connection]
) -> Iterator[tuple[Connection, int, bytes]]:
    messages = reader.messages(connections)
    while True:
        # Only the library's own step is guarded: errors of whoever consumes pass through.
        try:
            entry = next(messages, None)
        except _DAMAGE as error:
            raise DatasetError(f"{path}: corrupt bag: {_reason(error)}") from error
        if entry is None:
            return
        yield entry


def _info(path: Path, reader: Reader) -> BagInfo:
    try:
        topics = tuple(
            TopicInfo(item.topic, item.msgtype, int(item.msgcount)) for item in reader.connections
        )
        custom = getattr(reader.storage.metadata, "custom", None) or {}
        kept = json.loads(custom.get(CUSTOM_KEY, "{}"))
        info = BagInfo(
            path=path,
            storage=_storage(path),
            topics=tuple(sorted(topics, key=lambda topic: topic.name)),
            start_ns=int(reader.start_time),
            duration_ns=max(int(reader.duration) - 1, 0),  # rosbags ends after the last stamp
            names={int(stamp): str(name) for stamp, name in kept.get("frames", {}).items()},
            checksums={str(topic): list(sums) for topic, sums in kept.get("crc32", {}).items()},
        )
    except _DAMAGE as error:
        raise DatasetError(f"{path}: corrupt bag metadata: {_reason(error)}") from error
    if info.message_count == 0:
        raise DatasetError(f"{path}: the bag holds no messages")
    return info


def _storage(path: Path) -> str:
    files = path.iterdir() if path.is_dir() else [path]
    return "mcap" if any(".mcap" in file.suffixes for file in files) else "sqlite3"


def _check_topics(info: BagInfo, topics: BagTopics) -> None:
    for stream, name in topics.by_stream().items():
        _check_topic(info, stream, name, STREAM_TYPES[stream])


def _check_topic(info: BagInfo, what: str, name: str, msgtype: str) -> None:
    topic = next((item for item in info.topics if item.name == name), None)
    if topic is None:
        listing = ", ".join(f"{item.name} ({item.msgtype})" for item in info.topics)
        raise DatasetError(f"{info.path}: no {what} topic {name}; the bag has: {listing}")
    if topic.msgtype != msgtype:
        raise DatasetError(f"{info.path}: {name} holds {topic.msgtype}, expected {msgtype}")
    if topic.count == 0:
        raise DatasetError(f"{info.path}: {what} topic {name} holds no messages")


def _check_sum(info: BagInfo, topic: str, index: int, raw: bytes) -> None:
    sums = info.checksums.get(topic)
    if sums is not None and (index >= len(sums) or sums[index] != zlib.crc32(raw)):
        raise DatasetError(
            f"{info.path}: corrupt bag: message {index + 1} of {topic} fails its checksum"
        )


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) > 3 else f"{type(error).__name__} {text}".strip()
