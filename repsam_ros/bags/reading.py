"""Reads the RGB-D frames of bags; what is wrong is a :class:`DatasetError` that names the bag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.bags.storage import bag_info, open_bag
from repsam_ros.bags.topics import IMAGE_TYPE, BagStream, BagTopics, find_topics, problems_of
from repsam_ros.errors import DatasetError, FrameError
from repsam_ros.messages import labels_from_image, stamp_to_ns
from repsam_ros.messages.wire import decode
from repsam_ros.perception.frame_inbox import CompleteFrame, FrameInbox
from repsam_ros.perception.sync import DEFAULT_QUEUE_SIZE, DEFAULT_SLOP_NS


@dataclass(frozen=True)
class BagMessage:
    """One recorded message.

    Attributes:
        bag: The bag it lies in.
        time_ns: When it was recorded.
        raw: As it goes over the wire (CDR).
    """

    bag: Path
    stream: BagStream
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

    def give_to(self, inbox: FrameInbox) -> None:
        """Hands the message to the place where frames are put together.

        Raises:
            DatasetError: See :attr:`message`.
        """
        if self.stream == "info":
            inbox.add_info(self.message)
        elif self.stream == "depth_info":
            inbox.add_depth_info(self.message)
        else:
            inbox.add_image(self.stream, self.message)


@dataclass(frozen=True)
class BagFrame:
    """A pair of images and their camera infos, with the name the frame was recorded under."""

    name: str | None
    stamp_ns: int
    color_msg: Any
    depth_msg: Any
    info_msg: Any
    depth_info_msg: Any = None


def read_bag(path: Path, topics: BagTopics | None = None) -> Iterator[BagMessage]:
    """The messages of colour, depth and camera infos, in recorded order.

    Raises:
        DatasetError: The bag is missing, corrupt, truncated or empty, or lacks a topic.
    """
    with open_bag(path) as bag:
        found = find_topics(bag.info, topics or BagTopics())
        streams = {topic: stream for stream, topic in found.by_stream().items()}
        for entry in bag.messages(streams):
            stream = streams[entry.topic]
            yield BagMessage(path, stream, entry.topic, entry.msgtype, entry.time_ns, entry.raw)


def read_label_maps(path: Path, topic: str) -> Iterator[tuple[int, NDArray[np.uint16]]]:
    """Stamps and (H, W) label maps of an image topic, in recorded order.

    Raises:
        DatasetError: The bag cannot be read, or the topic is missing or holds no label maps.
    """
    with open_bag(path) as bag:
        for problem in problems_of(bag.info, "label", (topic,), (IMAGE_TYPE,)):
            raise DatasetError(f"{path}: {problem}")
        for entry in bag.messages([topic]):
            try:
                message = decode(entry.raw, entry.msgtype)
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
        self,
        path: Path,
        topics: BagTopics | None = None,
        slop_ns: int = DEFAULT_SLOP_NS,
        queue_size: int = DEFAULT_QUEUE_SIZE,
    ) -> None:
        self._path, self._topics = path, topics or BagTopics()
        self._complete: list[CompleteFrame] = []
        self.inbox = FrameInbox(
            self._complete.append,
            slop_ns,
            queue_size,
            has_depth_info=bool(self._topics.depth_info),
        )

    def __iter__(self) -> Iterator[BagFrame]:
        names = bag_info(self._path).names
        for entry in read_bag(self._path, self._topics):
            entry.give_to(self.inbox)
            yield from self._completed(names)
        self.inbox.finish()
        yield from self._completed(names)

    def _completed(self, names: dict[int, str]) -> Iterator[BagFrame]:
        for frame in self._complete:
            stamp_ns = stamp_to_ns(frame.color_msg.header.stamp)
            images = (frame.color_msg, frame.depth_msg)
            infos = (frame.info_msg, frame.depth_info_msg)
            yield BagFrame(names.get(stamp_ns), stamp_ns, *images, *infos)
        self._complete.clear()
