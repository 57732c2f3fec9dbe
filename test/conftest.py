"""What several test modules share."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_typestore

TYPESTORE = get_typestore(Stores.ROS2_JAZZY)
FRAME_ID = "camera_color_optical_frame"


def header(stamp_ns: int = 1_000_000_000, frame_id: str = FRAME_ID) -> Any:
    stamp = TYPESTORE.types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 1_000_000_000))
    return TYPESTORE.types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


def image(
    pixels: np.ndarray,
    encoding: str,
    *,
    padding: int = 0,
    big_endian: bool = False,
    stamp_ns: int = 1_000_000_000,
    frame_id: str = FRAME_ID,
) -> Any:
    """An Image with ``padding`` junk bytes after each row."""
    height, width = pixels.shape[:2]
    ordered = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<"))
    rows = np.frombuffer(ordered.tobytes(), np.uint8).reshape(height, -1)
    data = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xA5)
    return TYPESTORE.types["sensor_msgs/msg/Image"](
        header=header(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(big_endian),
        step=data.shape[1],
        data=data.reshape(-1),
    )


def compressed_image(
    data: np.ndarray,
    image_format: str,
    *,
    stamp_ns: int = 1_000_000_000,
    frame_id: str = FRAME_ID,
) -> Any:
    """A CompressedImage with these bytes."""
    return TYPESTORE.types["sensor_msgs/msg/CompressedImage"](
        header=header(stamp_ns, frame_id), format=image_format, data=np.asarray(data).reshape(-1)
    )


def camera_info(
    width: int,
    height: int,
    *,
    fx: float = 500.0,
    stamp_ns: int = 1_000_000_000,
    frame_id: str = FRAME_ID,
) -> Any:
    roi = TYPESTORE.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    k = np.array([fx, 0, (width - 1) / 2, 0, fx, (height - 1) / 2, 0, 0, 1], np.float64)
    return TYPESTORE.types["sensor_msgs/msg/CameraInfo"](
        header=header(stamp_ns, frame_id),
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k,
        r=np.eye(3).ravel(),
        p=np.zeros(12),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def point_cloud2(content: dict[str, Any], stamp_ns: int = 1_000_000_000) -> Any:
    """A PointCloud2 from the fields that the codec gives."""
    make_field = TYPESTORE.types["sensor_msgs/msg/PointField"]
    fields = [make_field(*field, 1) for field in content["fields"]]
    return TYPESTORE.types["sensor_msgs/msg/PointCloud2"](
        header=header(stamp_ns), **{**content, "fields": fields}
    )


def record(path: Path, messages: Iterable[tuple[str, Any]]) -> Path:
    """A bag of messages on topics as other tools record it, at their stamps."""
    with Writer(path, version=8) as writer:
        connections: dict[str, Any] = {}
        for index, (topic, message) in enumerate(messages):
            kind, stamp = message.__msgtype__, message.header.stamp
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=TYPESTORE)
            raw = TYPESTORE.serialize_cdr(message, kind)
            writer.write(connections[topic], stamp.sec * 10**9 + stamp.nanosec + index, raw)
    return path


@pytest.fixture(scope="session")
def ros() -> SimpleNamespace:
    """Makers of real message objects, from the Jazzy type store; no ROS needed."""
    return SimpleNamespace(
        typestore=TYPESTORE,
        frame_id=FRAME_ID,
        image=image,
        compressed_image=compressed_image,
        camera_info=camera_info,
        point_cloud2=point_cloud2,
        record=record,
    )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real RGB-D samples; skips where it is absent."""
    root = Path(
        os.environ.get(
            "REPSAM_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"
        )
    )
    if not root.is_dir():
        pytest.skip(f"no real samples at {root}; set REPSAM_SHARED_DATA")
    return root
