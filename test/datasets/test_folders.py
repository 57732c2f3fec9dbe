"""Frames of one's own: what ``repsam segment`` reads, with label maps as it writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repsam_ros.cli.main import main
from repsam_ros.datasets import open_dataset
from repsam_ros.errors import ConfigError, DatasetError, FrameError
from repsam_ros.images import read_labels, write_png

CAMERA = {"fx": 61.0, "fy": 62.0, "cx": 40.0, "cy": 22.0, "width": 80, "height": 45}


def write_frames(folder: Path, *names: str, **camera: Any) -> Path:
    """80 x 45 frames: a thing at 0.5 m before a wall at 1 m, with rows that nobody labelled."""
    labels = np.zeros((45, 80), np.uint16)
    labels[10:20, 10:30], labels[25:40, 50:60], labels[:3] = 7, 1, 65535
    depth = np.where(labels == 7, 500, 1000).astype(np.uint16)
    for name in names:
        write_png(folder / "color" / f"{name}.png", np.full((45, 80, 3), (200, 1, 2), np.uint8))
        write_png(folder / "depth" / f"{name}.png", depth)
        write_png(folder / "labels" / f"{name}.png", labels)
    (folder / "intrinsics.json").write_text(json.dumps({**CAMERA, **camera}))
    return folder


def test_frame_truth_and_camera(tmp_path: Path) -> None:
    dataset = open_dataset("folders", write_frames(tmp_path, "b10", "b9"))
    assert dataset.names == ["b9", "b10"]
    sample = dataset[0]
    assert (sample.name, sample.split, sample.scene) == ("b9", "test", "")
    assert sample.frame.color[0, 0].tolist() == [200, 1, 2]
    assert sample.frame.depth_m[15, 15] == np.float32(0.5)
    camera = sample.frame.intrinsics
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (61, 62, 40, 22)
    assert np.unique(sample.labels).tolist() == [0, 1, 7]
    np.testing.assert_array_equal(np.flatnonzero(sample.ignore.any(axis=1)), np.arange(3))


def test_depth_in_other_steps_and_in_metres(tmp_path: Path) -> None:
    write_frames(tmp_path, "a", depth_scale_m=0.0001)
    assert open_dataset("folders", tmp_path)[0].frame.depth_m[15, 15] == np.float32(0.05)
    (tmp_path / "depth" / "a.png").unlink()
    np.save(tmp_path / "depth" / "a.npy", np.full((45, 80), 0.7, np.float32))
    assert open_dataset("folders", tmp_path)[0].frame.depth_m[0, 0] == np.float32(0.7)


def test_each_folder_is_a_scene_with_a_camera_of_its_own(tmp_path: Path) -> None:
    write_frames(tmp_path / "monday", "1", "2")
    write_frames(tmp_path / "tuesday", "1", fx=70.0)
    samples = list(open_dataset("folders", tmp_path))
    assert [(s.name, s.scene, s.frame.intrinsics.fx) for s in samples] == [
        ("monday/1", "monday", 61),
        ("monday/2", "monday", 61),
        ("tuesday/1", "tuesday", 70),
    ]


def test_a_camera_info_of_a_lens_that_distorts_is_refused(tmp_path: Path) -> None:
    write_frames(tmp_path, "a")
    (tmp_path / "intrinsics.json").unlink()
    k = [61.0, 0, 40, 0, 62, 22, 0, 0, 1]
    info = {"k": k, "width": 80, "height": 45, "d": [0.0, 0, 0, 0, 0]}
    path = tmp_path / "intrinsics.yaml"
    path.write_text(json.dumps(info))  # JSON is YAML
    assert open_dataset("folders", tmp_path)[0].frame.intrinsics.fy == 62
    path.write_text(json.dumps({**info, "d": [0.1, 0, 0, 0, 0]}))
    with pytest.raises(DatasetError, match=r"intrinsics\.yaml: lens distortion"):
        open_dataset("folders", tmp_path)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folder with color/, depth/ and labels/"):
        open_dataset("folders", tmp_path)
    write_frames(tmp_path, "a", "b")
    (tmp_path / "labels" / "b.png").rename(tmp_path / "labels" / "c.png")
    with pytest.raises(DatasetError, match=r"labels: no image named b$"):
        open_dataset("folders", tmp_path)
    (tmp_path / "labels" / "b.png").write_bytes((tmp_path / "labels" / "a.png").read_bytes())
    with pytest.raises(DatasetError, match=r"color: no image named c$"):
        open_dataset("folders", tmp_path)
    (tmp_path / "labels" / "c.png").unlink()
    (tmp_path / "intrinsics.json").rename(tmp_path / "camera.json")
    with pytest.raises(DatasetError, match=r"intrinsics\.json and intrinsics\.yaml, got neither"):
        open_dataset("folders", tmp_path)


def test_frames_of_another_size_than_the_camera_are_refused(tmp_path: Path) -> None:
    write_frames(tmp_path, "a", width=160)
    with pytest.raises(FrameError, match=r"a\.png: 80x45 pixels, expected 160x45"):
        open_dataset("folders", tmp_path)[0]
    write_frames(tmp_path, "a")
    write_png(tmp_path / "labels" / "a.png", np.zeros((45, 60), np.uint16))
    with pytest.raises(DatasetError, match=r"labels/a\.png: expected 80x45"):
        open_dataset("folders", tmp_path)[0]
    write_frames(tmp_path, "a", fz=1.0)
    with pytest.raises(ConfigError, match="fz"):
        open_dataset("folders", tmp_path)


def test_label_maps_of_segment_are_truth_as_they_are(tmp_path: Path) -> None:
    """What the model draws scores 100 against itself, whatever it is."""
    root = write_frames(tmp_path / "frames", "a")
    given = ["--color", str(root / "color"), "--depth", str(root / "depth")]
    intrinsics = ["--intrinsics", str(root / "intrinsics.json")]
    assert main(["segment", *given, *intrinsics, "--out", str(tmp_path / "out")]) == 0
    drawn = tmp_path / "out" / "labels" / "a.png"
    (root / "labels" / "a.png").write_bytes(drawn.read_bytes())
    (sample,) = open_dataset("folders", root)
    np.testing.assert_array_equal(sample.labels, read_labels(drawn))
    assert sample.labels.any() and not sample.ignore.any()
    out = tmp_path / "scores"
    assert main(["eval", "--dataset", "folders", "--root", str(root), "--out", str(out)]) == 0
    assert json.loads((out / "metrics.json").read_text())["mean"]["overlap_f"] == 100
