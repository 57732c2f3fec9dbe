"""The mOSD reader on small folders of its own, and on the real frames where they are there."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from repsam_ros.datasets import dataset_names, open_dataset
from repsam_ros.errors import ConfigError, DatasetError


def write_frame(root: Path, name: str, labels: np.ndarray | None = None) -> None:
    """One 64x48 frame: red, 1 m away, with one object in two parts."""
    if labels is None:
        labels = np.full((48, 64), 1, np.uint16)
        labels[:5] = 0
        labels[10:20, 10:20] = 20
        labels[10:20, 30:40] = 21
        labels[30:40, 30:40] = 30
        labels[40:, :8] = 9
    color = np.zeros((48, 64, 3), np.uint8)
    color[..., 2] = 255
    depth = np.where(labels > 0, 1000, 0).astype(np.uint16)
    for folder, image in (("rgb", color), ("depth", depth), ("label", labels)):
        (root / folder).mkdir(exist_ok=True)
        assert cv2.imwrite(str(root / folder / f"{name}.png"), image)


def test_frame_truth_and_camera(tmp_path: Path) -> None:
    write_frame(tmp_path, "any name")
    (sample,) = open_dataset("mosd", tmp_path)
    assert sample.name == "any name"
    assert sample.frame.color[0, 0].tolist() == [255, 0, 0]
    assert sample.frame.depth_m[10, 10] == np.float32(1.0)
    assert sample.frame.depth_m[0, 0] == 0
    assert sorted(np.unique(sample.labels)) == [0, 2, 3]
    assert sample.labels[15, 15] == sample.labels[15, 35] == 2
    assert sample.labels[45, 2] == 0
    np.testing.assert_array_equal(np.flatnonzero(sample.ignore.any(axis=1)), np.arange(5))
    assert sample.frame.intrinsics.fx == 52.5


def test_full_size_camera_is_the_kinect(tmp_path: Path) -> None:
    write_frame(tmp_path, "a")
    for folder in ("rgb", "depth", "label"):
        path = str(tmp_path / folder / "a.png")
        image = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        cv2.imwrite(path, cv2.resize(image, (640, 480), interpolation=cv2.INTER_NEAREST))
    intrinsics = open_dataset("mosd", tmp_path)[0].frame.intrinsics
    assert (intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy) == (525, 525, 319.5, 239.5)


def test_names_are_in_natural_order(tmp_path: Path) -> None:
    for name in ("learn10", "learn2", "test1", "7", "learn2b"):
        write_frame(tmp_path, name)
    assert open_dataset("mosd", tmp_path).names == ["7", "learn2", "learn2b", "learn10", "test1"]


def test_samples_are_read_lazily(tmp_path: Path) -> None:
    write_frame(tmp_path, "a")
    write_frame(tmp_path, "b")
    (tmp_path / "rgb" / "b.png").write_bytes(b"no image")
    dataset = open_dataset("mosd", tmp_path)
    assert len(dataset) == 2
    assert dataset[0].name == "a"
    with pytest.raises(DatasetError, match=r"rgb/b\.png"):
        dataset[1]


@pytest.mark.parametrize("folder", ["rgb", "depth", "label"])
def test_missing_image_is_named(tmp_path: Path, folder: str) -> None:
    write_frame(tmp_path, "a")
    write_frame(tmp_path, "b")
    (tmp_path / folder / "b.png").unlink()
    with pytest.raises(DatasetError, match=f"{folder}: no image named b"):
        open_dataset("mosd", tmp_path)


@pytest.mark.parametrize("folder", ["rgb", "depth", "label"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_broken_image_is_named(tmp_path: Path, folder: str, damage: str) -> None:
    write_frame(tmp_path, "a")
    path = tmp_path / folder / "a.png"
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    keep = {"truncated": len(data) * 3 // 4, "flipped": len(data), "empty": 0}[damage]
    path.write_bytes(bytes(data[:keep]))
    with pytest.raises(DatasetError, match=f"{folder}/a.png"):
        open_dataset("mosd", tmp_path)[0]


def test_missing_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        open_dataset("mosd", tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="rgb"):
        open_dataset("mosd", tmp_path)
    for folder in ("rgb", "depth", "label"):
        (tmp_path / folder).mkdir()
    with pytest.raises(DatasetError, match="no images"):
        open_dataset("mosd", tmp_path)


def test_wrong_sizes_and_types_are_named(tmp_path: Path) -> None:
    write_frame(tmp_path, "a")
    cv2.imwrite(str(tmp_path / "label" / "a.png"), np.zeros((24, 32), np.uint16))
    with pytest.raises(DatasetError, match=r"label/a\.png.*64x48.*32x24"):
        open_dataset("mosd", tmp_path)[0]
    cv2.imwrite(str(tmp_path / "depth" / "a.png"), np.zeros((48, 64), np.uint8))
    with pytest.raises(DatasetError, match=r"depth/a\.png.*16-bit"):
        open_dataset("mosd", tmp_path)[0]


def test_unknown_name_lists_what_exists(tmp_path: Path) -> None:
    assert "mosd" in dataset_names()
    with pytest.raises(ConfigError, match="'modd'; there are: .*mosd"):
        open_dataset("modd", tmp_path)
    with pytest.raises(ConfigError, match="unknown option 'camera' of mosd; there are: none"):
        open_dataset("mosd", tmp_path, camera="kinect")


def test_real_frames(shared_data: Path) -> None:
    root = shared_data / "mosd_learn"
    dataset = open_dataset("mosd", root)
    assert len(dataset) == 45
    assert dataset.names[:3] == ["learn0", "learn1", "learn2"]
    sample = dataset[dataset.names.index("learn40")]
    assert np.unique(sample.labels).tolist() == [0, 2, 3, 4]
    assert not np.any(sample.labels[sample.ignore])
    assert np.array_equal(sample.ignore, sample.frame.depth_m == 0)
