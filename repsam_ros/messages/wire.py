"""Messages as they go over the wire (CDR)."""

from __future__ import annotations

from functools import cache
from typing import Any

from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

from repsam_ros.errors import FrameError


@cache
def typestore() -> Any:
    """Message types of ROS 2 Jazzy; those of an RGB-D camera are the same in Humble."""
    return get_typestore(Stores.ROS2_JAZZY)


def decode(raw: bytes, msgtype: str) -> Any:
    """The message of a type such as ``sensor_msgs/msg/Image``; its arrays share ``raw``'s memory.

    Raises:
        FrameError: ``undecodable``.
    """
    try:
        return typestore().deserialize_cdr(memoryview(raw), msgtype)
    # SerdeError wraps most of these, not all.
    except (SerdeError, ValueError, TypeError, LookupError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FrameError("undecodable", f"{len(raw)} bytes are no {msgtype}: {reason}") from error
