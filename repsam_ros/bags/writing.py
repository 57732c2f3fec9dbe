"""Writes bags from RGB-D samples."""

from __future__ import annotations

import json
import math
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from repsam_ros.bags.storage import CUSTOM_KEY
from repsam_ros.bags.topics import IMAGE_TYPE, STREAM_TYPES, BagTopics
from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.messages import color_image, depth_image, label_image, ns_to_stamp
from repsam_ros.messages.wire import typestore
from repsam_ros.structures import UNKNOWN_LABEL, Intrinsics, RgbdFrame

STORAGES = {"sqlite3": StoragePlugin.SQLITE3, "mcap": StoragePlugin.MCAP}
START_NS = 1_700_000_000_000_000_000  # any fixed time that is not zero
DEFAULT_RATE_HZ = 2.0
_NS_PER_S = 1_000_000_000


class NamedFrame(Protocol):
    """A frame with the name under which its labels are known.

    Where label maps are written it has ``labels``, (H, W) uint16, and perhaps ``ignore``, (H, W)
    bool, which is written as ``UNKNOWN_LABEL``.
    """

    @property
    def name(self) -> str: ...

    @property
    def frame(self) -> RgbdFrame: ...


def write_bag(
    path: Path,
    samples: Iterable[NamedFrame],
    rate_hz: float = DEFAULT_RATE_HZ,
    storage: str = "sqlite3",
    *,
    topics: BagTopics | None = None,
    labels_topic: str = "",
    overwrite: bool = False,
) -> int:
    """Writes one message triple for each sample; returns how many samples there were.

    With ``labels_topic`` the true label maps are written as well, as 16UC1.

    Frame ``i`` is stamped ``START_NS + i * period``. The bag appears when it is complete.

    Raises:
        ConfigError: Rate or storage cannot be used.
        DatasetError: No samples, ``path`` is taken, or a sample is broken.
    """
    if not (math.isfinite(rate_hz) and 0 < rate_hz <= 1000):
        raise ConfigError(f"bag rate must lie in (0, 1000] Hz, got {rate_hz}")
    if storage not in STORAGES:
        raise ConfigError(f"unknown bag storage {storage!r}; there are: {', '.join(STORAGES)}")
    _check_target(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        # The storage file takes the folder's name, so it is that of the bag from the start.
        temporary = Path(folder) / path.name
        count = _write(
            temporary, samples, rate_hz, STORAGES[storage], topics or BagTopics(), labels_topic
        )
        if count == 0:
            raise DatasetError(f"{path}: no samples to write")
        if path.exists():
            path.rename(Path(folder) / "replaced")
        temporary.rename(path)
    return count


def _check_target(path: Path, overwrite: bool) -> None:
    if not path.exists():
        return
    if not overwrite:
        raise DatasetError(f"{path}: exists already")
    is_empty = path.is_dir() and not any(path.iterdir())
    if not is_empty and not (path / "metadata.yaml").is_file():
        raise DatasetError(f"{path}: is not a bag, will not be overwritten")


def _write(
    path: Path,
    samples: Iterable[NamedFrame],
    rate_hz: float,
    plugin: StoragePlugin,
    topics: BagTopics,
    labels_topic: str,
) -> int:
    period_ns = round(_NS_PER_S / rate_hz)
    names: dict[str, str] = {}
    written: dict[str, str] = {stream: topics.by_stream()[stream] for stream in STREAM_TYPES}
    types: dict[str, str] = {str(stream): kind for stream, kind in STREAM_TYPES.items()}
    if labels_topic:
        written["labels"], types["labels"] = labels_topic, IMAGE_TYPE
    checksums: dict[str, list[int]] = {topic: [] for topic in written.values()}
    # Version 9 writes the quality of service as a list, which Humble's player cannot read.
    with Writer(path, version=8, storage_plugin=plugin) as writer:
        connections = {
            stream: writer.add_connection(topic, types[stream], typestore=typestore())
            for stream, topic in written.items()
        }
        for index, sample in enumerate(samples):
            stamp_ns = START_NS + index * period_ns
            names[str(stamp_ns)] = sample.name
            messages = _messages(sample.frame, stamp_ns)
            if labels_topic:
                image = typestore().types[IMAGE_TYPE]
                messages["labels"] = image(header=messages["color"].header, **_label_fields(sample))
            for stream, message in messages.items():
                raw = typestore().serialize_cdr(message, types[stream])
                checksums[connections[stream].topic].append(zlib.crc32(raw))
                writer.write(connections[stream], stamp_ns, raw)
        writer.set_custom_data(CUSTOM_KEY, json.dumps({"frames": names, "crc32": checksums}))
    return len(names)


def _label_fields(sample: Any) -> dict[str, Any]:
    ignore = getattr(sample, "ignore", False)
    return label_image(np.where(ignore, UNKNOWN_LABEL, sample.labels).astype(np.uint16))


def _messages(frame: RgbdFrame, stamp_ns: int) -> dict[str, Any]:
    """In the order of writing: intrinsics first, so that they are known to the first pair."""
    types = typestore().types
    stamp = types["builtin_interfaces/msg/Time"](*ns_to_stamp(stamp_ns))
    header = types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame.frame_id)
    image = types["sensor_msgs/msg/Image"]
    return {
        "info": _camera_info(frame.intrinsics, header),
        "color": image(header=header, **color_image(frame.color)),
        "depth": image(header=header, **depth_image(frame.depth_m)),
    }


def _camera_info(intrinsics: Intrinsics, header: Any) -> Any:
    types = typestore().types
    k = np.array(
        [[intrinsics.fx, 0, intrinsics.cx], [0, intrinsics.fy, intrinsics.cy], [0, 0, 1]],
        dtype=np.float64,
    )
    return types["sensor_msgs/msg/CameraInfo"](
        header=header,
        height=intrinsics.height,
        width=intrinsics.width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k.ravel(),
        r=np.eye(3).ravel(),
        p=np.hstack([k, np.zeros((3, 1))]).ravel(),
        binning_x=0,
        binning_y=0,
        roi=types["sensor_msgs/msg/RegionOfInterest"](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        ),
    )
