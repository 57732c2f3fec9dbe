"""Object clouds as PLY files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from repsam_ros.paths import atomic_path
from repsam_ros.structures import SceneCloud

_VERTEX = np.dtype(
    [
        ("x", "<f4"),
        ("y", "<f4"),
        ("z", "<f4"),
        ("red", "u1"),
        ("green", "u1"),
        ("blue", "u1"),
        ("instance_id", "<u4"),
        ("score", "<f4"),
        ("flags", "u1"),
    ]
)
_TYPE_NAMES = {"f4": "float", "u1": "uchar", "u4": "uint"}


def write_ply(path: Path, cloud: SceneCloud) -> None:
    """Writes a cloud as binary PLY: metres, RGB, ``instance_id`` (0 = context), score, flags."""
    vertices = np.empty(len(cloud.points_m), _VERTEX)
    for axis, name in enumerate("xyz"):
        vertices[name] = cloud.points_m[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        vertices[name] = cloud.colors[:, channel]
    vertices["instance_id"] = cloud.instance_ids
    vertices["score"] = cloud.scores
    vertices["flags"] = cloud.flags
    with atomic_path(path) as temporary:
        temporary.write_bytes(_header(cloud, len(vertices)).encode() + vertices.tobytes())


def _header(cloud: SceneCloud, count: int) -> str:
    properties = [
        f"property {_TYPE_NAMES[_VERTEX[name].str[1:]]} {name}" for name in _VERTEX.names or ()
    ]
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        # A line break in the frame's name would end the comment.
        f"comment frame_id {' '.join(cloud.frame_id.split())}",
        f"comment stamp_ns {cloud.stamp_ns}",
        f"element vertex {count}",
        *properties,
        "end_header",
    ]
    return "\n".join(lines) + "\n"
