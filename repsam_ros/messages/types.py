"""The attributes of ROS messages that the codec reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Stamp(Protocol):
    """builtin_interfaces/Time."""

    sec: int
    nanosec: int


class Header(Protocol):
    """std_msgs/Header."""

    stamp: Any
    frame_id: str


class Image(Protocol):
    """sensor_msgs/Image; ``data`` is any flat buffer of bytes."""

    header: Any
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


class CompressedImage(Protocol):
    """sensor_msgs/CompressedImage; ``data`` is any flat buffer of bytes."""

    header: Any
    format: str
    data: Any


class CameraInfo(Protocol):
    """sensor_msgs/CameraInfo; ``k`` is the row-major 3x3 matrix, ``d`` the distortion."""

    header: Any
    height: int
    width: int
    d: Any
    k: Any


class PointField(Protocol):
    """sensor_msgs/PointField."""

    name: str
    offset: int
    datatype: int
    count: int


class PointCloud(Protocol):
    """sensor_msgs/PointCloud2."""

    header: Any
    height: int
    width: int
    fields: Sequence[Any]
    is_bigendian: bool
    point_step: int
    row_step: int
    data: Any
