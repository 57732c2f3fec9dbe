"""Frames from files: pairing, depth formats, intrinsics formats, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from repsam_ros.errors import ConfigError, DatasetError, FrameError, RepsamError
from repsam_ros.frame_files import FrameFiles, find_frames, read_camera, read_frame
from repsam_ros.images import write_png
from repsam_ros.structures import Intrinsics

FLAT = {"fx": 50.0, "fy": 51.0, "cx": 31.5, "cy": 23.5, "width": 64, "height": 48}
INTRINSICS = Intrinsics(50.0, 51.0, 31.5, 23.5, 64, 48)
CALIBRATION = """
image_width: 64
image_height: 48
camera_name: wrist
camera_matrix: {rows: 3, cols: 3, data: [50, 0, 31.5, 0, 51, 23.5, 0, 0, 1]}
distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}
"""
ECHO = """header: {frame_id: wrist}
height: 48
width: 64
distortion_model: plumb_bob
d: [0.1, 0.0, 0.0, 0.0, 0.0]
k: [50.0, 0.0, 31.5, 0.0, 51.0, 23.5, 0.0, 0.0, 1.0]
---
"""


def write_files(folder: Path, depth: np.ndarray | None = None) -> FrameFiles:
    write_png(folder / "c.png", np.full((48, 64, 3), 7, np.uint8))
    steps = np.full((48, 64), 800, np.uint16) if depth is None else depth
    write_png(folder / "d.png", steps)
    return FrameFiles("c", folder / "c.png", folder / "d.png")


def test_frame_of_two_images(tmp_path: Path) -> None:
    frame = read_frame(write_files(tmp_path), INTRINSICS, 0.0005)
    assert np.all(frame.depth_m == np.float32(0.4))
    assert frame.intrinsics == INTRINSICS


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize("in_metres", [True, False])
def test_depth_arrays(tmp_path: Path, suffix: str, in_metres: bool) -> None:
    files = write_files(tmp_path)
    metres = np.full((48, 64), 0.8)
    metres[0, :4] = np.nan, np.inf, -1, 0
    steps = np.where(metres == 0.8, 800, 0).astype(np.uint16)
    array = metres if in_metres else steps
    path = tmp_path / f"d.{suffix}"
    if suffix == "npy":
        np.save(path, array)
    else:
        np.savez(path, rgb=np.zeros(3), depth=array)
    frame = read_frame(FrameFiles("c", files.color, path), INTRINSICS, 0.001)
    assert frame.depth_m[0, :5].tolist() == [0, 0, 0, 0, np.float32(0.8)]


def test_folders_pair_by_stem(tmp_path: Path) -> None:
    for stem in ("b", "a frame"):
        write_png(tmp_path / "color" / f"{stem}.png", np.zeros((4, 4, 3), np.uint8))
        (tmp_path / "depth").mkdir(exist_ok=True)
        np.save(tmp_path / "depth" / f"{stem}.npy", np.zeros((4, 4)))
    found = find_frames(tmp_path / "color", tmp_path / "depth")
    assert [(files.name, files.depth.name) for files in found] == [
        ("a frame", "a frame.npy"),
        ("b", "b.npy"),
    ]


def test_unpaired_files_are_named(tmp_path: Path) -> None:
    for folder, stems in (("color", "abc"), ("depth", "ab")):
        for stem in stems:
            write_png(tmp_path / folder / f"{stem}.png", np.zeros((4, 4), np.uint16))
    with pytest.raises(DatasetError, match=r"depth: no partner .* for c\.png"):
        find_frames(tmp_path / "color", tmp_path / "depth")
    (tmp_path / "color" / "a.png").unlink()
    (tmp_path / "color" / "c.png").unlink()
    with pytest.raises(DatasetError, match=r"color: no partner .* for a\.png"):
        find_frames(tmp_path / "color", tmp_path / "depth")


def test_missing_empty_and_mixed_paths_are_named(tmp_path: Path) -> None:
    files = write_files(tmp_path)
    with pytest.raises(DatasetError, match="gone"):
        find_frames(files.color, tmp_path / "gone.png")
    with pytest.raises(DatasetError, match="two files or two folders"):
        find_frames(tmp_path, files.depth)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty: no images"):
        find_frames(tmp_path / "empty", tmp_path / "empty")


def test_depth_of_another_size_is_named(tmp_path: Path) -> None:
    files = write_files(tmp_path, np.ones((24, 32), np.uint16))
    with pytest.raises(FrameError, match=r"d\.png: 32x24 pixels, expected 64x48") as caught:
        read_frame(files, INTRINSICS, 0.001)
    assert caught.value.cause == "size_mismatch"


def test_intrinsics_of_another_size_are_named(tmp_path: Path) -> None:
    wrong = Intrinsics(50, 50, 15, 11, 32, 24)
    with pytest.raises(FrameError, match=r"c\.png: 64x48 pixels, expected 32x24 of the intrinsics"):
        read_frame(write_files(tmp_path), wrong, 0.001)


def test_depth_without_a_valid_pixel_is_named(tmp_path: Path) -> None:
    files = write_files(tmp_path, np.zeros((48, 64), np.uint16))
    with pytest.raises(FrameError, match=r"d\.png: no pixel") as caught:
        read_frame(files, INTRINSICS, 0.001)
    assert caught.value.cause == "empty_depth"


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04broken", b"not an array"])
def test_broken_arrays_are_named(tmp_path: Path, content: bytes) -> None:
    files = write_files(tmp_path)
    (tmp_path / "d.npz").write_bytes(content)
    with pytest.raises(DatasetError, match=r"d\.npz"):
        read_frame(FrameFiles("c", files.color, tmp_path / "d.npz"), INTRINSICS, 0.001)


def test_of_several_arrays_the_one_named_depth_is_asked_for(tmp_path: Path) -> None:
    files = write_files(tmp_path)
    np.savez(tmp_path / "d.npz", near=np.ones((48, 64)), far=np.ones((48, 64)))
    with pytest.raises(DatasetError, match="expected an array named depth, got near, far"):
        read_frame(FrameFiles("c", files.color, tmp_path / "d.npz"), INTRINSICS, 0.001)


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    files = write_files(tmp_path)
    np.save(tmp_path / "d.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match=r"d\.npy"):
        read_frame(FrameFiles("c", files.color, tmp_path / "d.npy"), INTRINSICS, 0.001)


def test_millimetres_as_floats_are_refused(tmp_path: Path) -> None:
    files = write_files(tmp_path)
    np.save(tmp_path / "d.npy", np.full((48, 64), 800.0))
    with pytest.raises(DatasetError, match="800 m; expected metres"):
        read_frame(FrameFiles("c", files.color, tmp_path / "d.npy"), INTRINSICS, 0.001)


def test_flat_intrinsics(tmp_path: Path) -> None:
    path = tmp_path / "k.json"
    path.write_text(json.dumps(FLAT | {"depth_scale_m": 0.0001}))
    camera = read_camera(path)
    assert camera.intrinsics == INTRINSICS
    assert camera.depth_scale_m == 0.0001


@pytest.mark.parametrize(("text", "is_distorted"), [(CALIBRATION, False), (ECHO, True)])
def test_camera_info(tmp_path: Path, text: str, is_distorted: bool) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    camera = read_camera(path)
    assert camera.intrinsics == INTRINSICS
    assert camera.depth_scale_m is None
    assert camera.is_distorted == is_distorted


def test_zero_focal_length_is_named(tmp_path: Path) -> None:
    path = tmp_path / "k.json"
    path.write_text(json.dumps(FLAT | {"fx": 0}))
    with pytest.raises(FrameError, match=r"k\.json: fx of 0") as caught:
        read_camera(path)
    assert caught.value.cause == "bad_intrinsics"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("k.json", "{", "not valid JSON"),
        ("k.json", "[]", "expected a mapping"),
        ("k.json", "{}", "missing key fx"),
        ("k.json", json.dumps(FLAT | {"fx": "wide"}), "fx must be a number"),
        ("k.json", json.dumps(FLAT | {"cx": float("nan")}), "cx must be a number"),
        ("k.json", json.dumps(FLAT | {"depth_scale": 0.1}), "unknown key depth_scale;"),
        ("k.json", json.dumps(FLAT | {"depth_scale_m": 0}), "depth_scale_m must be"),
        ("k.json", json.dumps(FLAT | {"width": 64.5}), "whole"),
        ("k.yaml", "a: [", "not valid YAML"),
        ("k.yaml", "", "expected a mapping"),
        ("k.yaml", "k: [1, 2]\nwidth: 4\nheight: 4", "9 numbers"),
        ("k.yaml", "k: [a, b]\nwidth: 4\nheight: 4", "does not hold numbers"),
        ("k.yaml", ECHO.replace("width: 64\n", ""), "missing key width"),
    ],
)
def test_bad_intrinsics_files_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(RepsamError, match=f"{name}: .*{message}"):
        read_camera(tmp_path / name)


def test_missing_intrinsics_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.json: No such file"):
        read_camera(tmp_path / "gone.json")
