"""Topics and message types of an RGB-D bag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from repsam_ros.bags.storage import BagInfo, TopicInfo
from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.messages.compressed import TRANSPORT_SUFFIXES, TRANSPORTS

BagStream = Literal["color", "depth", "info", "depth_info"]

IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_TYPE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
# What write_bag writes.
STREAM_TYPES: dict[BagStream, str] = {
    "color": IMAGE_TYPE,
    "depth": IMAGE_TYPE,
    "info": CAMERA_INFO_TYPE,
}
_TRANSPORT_OF = dict(zip((IMAGE_TYPE, COMPRESSED_TYPE), TRANSPORTS, strict=True))


@dataclass(frozen=True)
class BagTopics:
    """Names of the topics; the defaults are those that :func:`write_bag` writes.

    Attributes:
        depth_info: Intrinsics of depth where its size or K is not that of color; empty = it is.
        color_transport: ``raw`` or ``compressed``: which one to read where a bag has both.
        depth_transport: Likewise.
    """

    color: str = "/camera/color/image_raw"
    depth: str = "/camera/aligned_depth_to_color/image_raw"
    info: str = "/camera/color/camera_info"
    depth_info: str = ""
    color_transport: str = "raw"
    depth_transport: str = "raw"

    def __post_init__(self) -> None:
        for name in self.transports().values():
            if name not in TRANSPORTS:
                raise ConfigError(f"images come raw or compressed, not {name!r}")
        if self.color == self.depth:
            raise ConfigError(
                f"color and depth must come from two topics, not both from {self.color}"
            )
        if self.depth_info == self.info:  # the same as none of its own
            object.__setattr__(self, "depth_info", "")

    def by_stream(self) -> dict[BagStream, str]:
        names: dict[BagStream, str] = {"color": self.color, "depth": self.depth, "info": self.info}
        return {**names, "depth_info": self.depth_info} if self.depth_info else names

    def types(self) -> dict[BagStream, str]:
        """Message types by stream."""
        types = dict.fromkeys(self.by_stream(), CAMERA_INFO_TYPE)
        for stream, transport in self.transports().items():
            types[stream] = COMPRESSED_TYPE if transport == "compressed" else IMAGE_TYPE
        return types

    def transports(self) -> dict[BagStream, str]:
        """How the images come, by stream."""
        return {"color": self.color_transport, "depth": self.depth_transport}


def find_topics(info: BagInfo, topics: BagTopics) -> BagTopics:
    """The topics as this bag has them: names of what is read, and how the images come.

    An image topic is the one of the given name, whatever its type, or the compressed one below.

    Raises:
        DatasetError: One is missing, empty or of another type; says which topics there are.
    """
    if problems := list(topic_problems(info, topics)):
        listing = ", ".join(f"{item.name} ({item.msgtype})" for item in info.topics)
        raise DatasetError(f"{info.path}: {'; '.join(problems)}; the bag has: {listing}")
    changes: dict[str, str] = {}
    for stream, names in _candidates(topics).items():
        topic = _first(info, names)
        assert topic is not None, "else there is a problem"
        changes[stream] = topic.name
        if stream in TRANSPORT_SUFFIXES:
            changes[f"{stream}_transport"] = _TRANSPORT_OF[topic.msgtype]
    return replace(topics, **changes)


def topic_problems(info: BagInfo, topics: BagTopics) -> Iterator[str]:
    """What keeps the streams from being read."""
    for stream, names in _candidates(topics).items():
        types = tuple(_TRANSPORT_OF) if stream in TRANSPORT_SUFFIXES else (CAMERA_INFO_TYPE,)
        yield from problems_of(info, stream, names, types)


def problems_of(
    info: BagInfo, what: str, names: tuple[str, ...], types: tuple[str, ...]
) -> Iterator[str]:
    """What keeps the topic of these names from being read."""
    topic = _first(info, names)
    if topic is None:
        yield f"no {what} topic {' or '.join(names)}"
    elif topic.msgtype not in types:
        yield f"{topic.name} holds {topic.msgtype}, expected {' or '.join(types)}"
    elif topic.count == 0:
        yield f"{what} topic {topic.name} holds no messages"


def _candidates(topics: BagTopics) -> dict[BagStream, tuple[str, ...]]:
    """Names by stream under which it may have been recorded, the wanted one first."""
    names: dict[BagStream, tuple[str, ...]] = {
        stream: (name,) for stream, name in topics.by_stream().items()
    }
    for stream, transport in topics.transports().items():
        (raw,) = names[stream]
        both = raw, f"{raw}/{TRANSPORT_SUFFIXES[stream]}"
        names[stream] = both if transport == "raw" else both[::-1]
    return names


def _first(info: BagInfo, names: tuple[str, ...]) -> TopicInfo | None:
    """Recorders list topics that nobody published on: one with messages comes before those."""
    found = [topic for name in names for topic in info.topics if topic.name == name]
    return next((topic for topic in found if topic.count), found[0] if found else None)
