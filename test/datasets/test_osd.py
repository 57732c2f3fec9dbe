"""The OSD reader on small folders in the layout of OSD 0.2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from repsam_ros.datasets import dataset_splits, open_dataset
from repsam_ros.errors import DatasetError
from repsam_ros.images import write_png

SIZE = (24, 32)


def write_frame(root: Path, name: str, labels: np.ndarray | None = None) -> None:
    """A blue 32x24 frame 0.8 m away whose first row has no depth."""
    ids = np.zeros(SIZE, np.uint8)
    ids[5:10, 5:10], ids[12:20, 12:20] = 1, 2
    depth = np.full(SIZE, 800, np.uint16)
    depth[0] = 0
    write_png(root / "image_color" / f"{name}.png", np.full((*SIZE, 3), (0, 0, 255), np.uint8))
    write_png(root / "disparity" / f"{name}.png", depth)
    write_png(root / "annotation" / f"{name}.png", ids if labels is None else labels)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("learn10", "learn2", "test0", "test11"):
        write_frame(tmp_path, name)
    return tmp_path


def test_disparity_is_millimetres_of_depth(root: Path) -> None:
    frame = open_dataset("osd", root)[0].frame
    assert frame.depth_m.dtype == np.float32
    assert frame.depth_m[5, 5] == np.float32(0.8)
    assert not frame.depth_m[0].any()
    assert frame.color[0, 0].tolist() == [0, 0, 255]


def test_ids_are_instances_and_nothing_is_ignored(root: Path) -> None:
    sample = open_dataset("osd", root)[0]
    assert sample.labels.dtype == np.uint16
    assert np.unique(sample.labels).tolist() == [0, 1, 2]
    assert sample.labels[15, 15] == 2
    assert not sample.ignore.any()


def test_names_make_the_official_splits(root: Path) -> None:
    assert dataset_splits("osd") == ("learn", "test")
    assert open_dataset("osd", root).names == ["learn2", "learn10", "test0", "test11"]
    assert open_dataset("osd", root, "test").names == ["test0", "test11"]
    assert [sample.split for sample in open_dataset("osd", root)] == 2 * ["learn"] + 2 * ["test"]


def test_the_camera_is_scaled_with_the_image(root: Path) -> None:
    assert open_dataset("osd", root)[0].frame.intrinsics.fx == pytest.approx(525 / 20)
    write_png(root / "image_color" / "learn2.png", np.zeros((24, 40, 3), np.uint8))
    write_png(root / "disparity" / "learn2.png", np.zeros((24, 40), np.uint16))
    write_png(root / "annotation" / "learn2.png", np.zeros((24, 40), np.uint8))
    with pytest.raises(DatasetError, match=r"learn2\.png: 40x24 pixels are not of a 640x480"):
        open_dataset("osd", root)[0]


@pytest.mark.parametrize("folder", ["image_color", "disparity", "annotation"])
def test_missing_folder_is_named(root: Path, folder: str) -> None:
    (root / folder).rename(root / "elsewhere")
    with pytest.raises(DatasetError, match=f"{folder}: no such folder"):
        open_dataset("osd", root)


def test_a_split_without_frames_is_named(tmp_path: Path) -> None:
    write_frame(tmp_path, "test0")
    with pytest.raises(DatasetError, match="image_color: no images whose name begins with learn"):
        open_dataset("osd", tmp_path, "learn")


@pytest.mark.parametrize("folder", ["disparity", "annotation"])
def test_only_the_broken_frame_cannot_be_read(root: Path, folder: str) -> None:
    (root / folder / "learn2.png").unlink()
    path = root / folder / "learn10.png"
    path.write_bytes(path.read_bytes()[:-9])
    dataset = open_dataset("osd", root)
    with pytest.raises(DatasetError, match=rf"{folder}/learn2\.png: No such file"):
        dataset[0]
    with pytest.raises(DatasetError, match=rf"{folder}/learn10\.png: truncated PNG"):
        dataset[1]
    assert dataset[2].name == "test0"


def test_wrong_size_is_named(root: Path) -> None:
    write_frame(root, "test0", np.zeros((12, 16), np.uint8))
    with pytest.raises(DatasetError, match=r"annotation/test0\.png: expected 32x24 .* got 16x12"):
        open_dataset("osd", root, "test")[0]


def test_real_frames_in_this_layout(shared_data: Path, tmp_path: Path) -> None:
    """The learn frames of mOSD are those of OSD, cut to the table, with other ids."""
    folders = {"image_color": "rgb", "disparity": "depth", "annotation": "label"}
    for folder, source in folders.items():
        (tmp_path / folder).symlink_to(shared_data / "mosd_learn" / source)
    dataset = open_dataset("osd", tmp_path, "learn")
    assert dataset.names == [f"learn{k}" for k in range(45)]
    frame = dataset[40].frame
    assert 0.5 < np.median(frame.depth_m[frame.depth_m > 0]) < 1.5
    camera = frame.intrinsics
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (525, 525, 319.5, 239.5)
