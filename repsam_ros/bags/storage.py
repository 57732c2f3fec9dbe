"""The files of a bag; whatever is wrong with them is a :class:`DatasetError` that names the bag."""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError

from repsam_ros.errors import DatasetError

# Key in the bag's custom_data under which this package keeps frame names and checksums.
CUSTOM_KEY = "repsam_ros"

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
class RawMessage:
    """One recorded message as it goes over the wire (CDR).

    Attributes:
        time_ns: When it was recorded.
    """

    topic: str
    msgtype: str
    time_ns: int
    raw: bytes


def bag_info(path: Path) -> BagInfo:
    """What the metadata of a bag says.

    Raises:
        DatasetError: The bag is missing, corrupt or empty.
    """
    with open_bag(path) as bag:
        return bag.info


@contextmanager
def open_bag(path: Path) -> Iterator[OpenBag]:
    """A bag for reading.

    Raises:
        DatasetError: The bag is missing, corrupt or empty.
    """
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
        yield OpenBag(path, reader)
    finally:
        reader.close()


class OpenBag:
    """See :func:`open_bag`."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self._path, self._reader = path, reader
        self.info = _info(path, reader)

    def messages(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """The messages of some topics, in recorded order, each as it was written.

        Raises:
            DatasetError: The bag is corrupt or truncated.
        """
        connections = [item for item in self._reader.connections if item.topic in topics]
        found: Counter[str] = Counter()
        for connection, time_ns, raw in self._read(connections):
            topic = connection.topic
            self._check_sum(topic, found[topic], raw)
            found[topic] += 1
            yield RawMessage(topic, connection.msgtype, time_ns, bytes(raw))
        expected: Counter[str] = Counter()
        for item in connections:
            expected[item.topic] += int(item.msgcount)
        for topic, count in expected.items():
            if found[topic] != count:
                raise DatasetError(
                    f"{self._path}: corrupt bag: {found[topic]} of {count} messages of {topic}"
                    " found"
                )

    def _read(self, connections: list[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        messages = self._reader.messages(connections)
        while True:
            # Only the library's own step is guarded: errors of whoever consumes pass through.
            try:
                entry = next(messages, None)
            except _DAMAGE as error:
                raise DatasetError(f"{self._path}: corrupt bag: {_reason(error)}") from error
            if entry is None:
                return
            yield entry

    def _check_sum(self, topic: str, index: int, raw: bytes) -> None:
        sums = self.info.checksums.get(topic)
        if sums is not None and (index >= len(sums) or sums[index] != zlib.crc32(raw)):
            raise DatasetError(
                f"{self._path}: corrupt bag: message {index + 1} of {topic} fails its checksum"
            )


def _info(path: Path, reader: Reader) -> BagInfo:
    try:
        counts: Counter[tuple[str, str]] = Counter()
        for item in reader.connections:
            counts[item.topic, item.msgtype] += int(item.msgcount)
        custom = getattr(reader.storage.metadata, "custom", None) or {}
        kept = json.loads(custom.get(CUSTOM_KEY, "{}"))
        info = BagInfo(
            path=path,
            storage=_storage(path),
            topics=tuple(TopicInfo(*key, count) for key, count in sorted(counts.items())),
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


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) > 3 else f"{type(error).__name__} {text}".strip()
