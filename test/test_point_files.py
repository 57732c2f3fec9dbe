"""PLY files, read back by the header they declare."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from repsam_ros.point_files import write_ply
from repsam_ros.structures import SceneCloud

NUMPY_TYPES = {"float": "<f4", "uchar": "u1", "uint": "<u4"}


def read_ply(path: Path) -> tuple[list[str], np.ndarray]:
    header, _, body = path.read_bytes().partition(b"end_header\n")
    lines = header.decode("ascii").splitlines()
    words = [line.split() for line in lines]
    count = next(int(word[2]) for word in words if word[:2] == ["element", "vertex"])
    dtype = np.dtype([(word[2], NUMPY_TYPES[word[1]]) for word in words if word[0] == "property"])
    assert len(body) == count * dtype.itemsize
    return lines, np.frombuffer(body, dtype)


def make_cloud(count: int, frame_id: str = "camera") -> SceneCloud:
    rng = np.random.default_rng(0)
    return SceneCloud(
        points_m=rng.normal(size=(count, 3)).astype(np.float32),
        colors=rng.integers(0, 256, (count, 3), dtype=np.uint8),
        instance_ids=rng.integers(0, 2**32, count, dtype=np.uint32),
        scores=rng.random(count, dtype=np.float32),
        flags=rng.integers(0, 8, count, dtype=np.uint8),
        stamp_ns=12,
        frame_id=frame_id,
    )


def test_round_trip(tmp_path: Path) -> None:
    cloud = make_cloud(17)
    write_ply(tmp_path / "points" / "a.ply", cloud)
    lines, vertices = read_ply(tmp_path / "points" / "a.ply")
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    assert "comment frame_id camera" in lines
    np.testing.assert_array_equal(
        np.stack([vertices[axis] for axis in "xyz"], axis=1), cloud.points_m
    )
    np.testing.assert_array_equal(
        np.stack([vertices[name] for name in ("red", "green", "blue")], axis=1), cloud.colors
    )
    np.testing.assert_array_equal(vertices["instance_id"], cloud.instance_ids)
    np.testing.assert_array_equal(vertices["score"], cloud.scores)
    np.testing.assert_array_equal(vertices["flags"], cloud.flags)


def test_empty_cloud(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", make_cloud(0))
    assert len(read_ply(tmp_path / "a.ply")[1]) == 0


def test_frame_name_cannot_break_the_header(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", make_cloud(1, "camera\nelement vertex 99"))
    assert len(read_ply(tmp_path / "a.ply")[1]) == 1
