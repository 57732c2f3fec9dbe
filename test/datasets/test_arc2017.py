"""The reader of the suction data of the Amazon Robotics Challenge on a small folder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from repsam_ros.datasets import open_dataset
from repsam_ros.datasets._files import valid_depth
from repsam_ros.errors import DatasetError

WIDTH, HEIGHT = 16, 12


def write_image(root: Path, name: str) -> None:
    """0.5 m away with two held places; nobody judged the left side."""
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    label[2:4, 4:6] = label[8:10, 10:14] = 128
    label[:, :3] = 255
    depth = np.full((HEIGHT, WIDTH), 5000, np.uint16)
    depth[0] = 0
    color = np.full((HEIGHT, WIDTH, 3), 30, np.uint8)
    images = {"color-input": color, "depth-input": depth, "label": label}
    images |= {"color-background": color, "depth-background": depth}
    for kind, image in images.items():
        (root / kind).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / kind / f"{name}.png"), image)
    (root / "camera-intrinsics").mkdir(exist_ok=True)
    rows = f"6.165e+01 \t0.0e+00 \t{int(name[:6])}.5e+00", "0.0 \t6.2e+01 \t5.5", "0.0 \t0.0 \t1.0"
    text = "".join(f" {row} \t\n" for row in rows)
    (root / "camera-intrinsics" / f"{name}.txt").write_text(text)


def write_data_set(root: Path) -> None:
    for name in ("000000-0", "000001-0", "000001-1"):
        write_image(root, name)
    (root / "train-split.txt").write_text("000001-1\r\n000000-0\r\n\n")
    (root / "test-split.txt").write_text("000001-0\n")


def test_held_places_are_one_instance_and_neutral_is_ignored(tmp_path: Path) -> None:
    write_data_set(tmp_path)
    (sample,) = open_dataset("arc2017", tmp_path, "test")
    assert np.unique(sample.labels).tolist() == [0, 1]
    assert sample.labels.sum() == 2 * 2 + 2 * 4
    np.testing.assert_array_equal(np.flatnonzero(sample.ignore.all(axis=0)), [0, 1, 2])
    assert not sample.ignore[:, 3:].any() and not sample.labels[sample.ignore].any()


def test_depth_is_in_tenths_of_a_millimetre(tmp_path: Path) -> None:
    write_data_set(tmp_path)
    depth_m = open_dataset("arc2017", tmp_path)[0].frame.depth_m
    assert depth_m[5, 5] == np.float32(0.5) and not depth_m[0].any()


def test_each_image_has_its_own_camera(tmp_path: Path) -> None:
    write_data_set(tmp_path)
    cameras = [sample.frame.intrinsics for sample in open_dataset("arc2017", tmp_path, "train")]
    assert [camera.cx for camera in cameras] == [1.5, 0.5]
    assert (cameras[0].fx, cameras[0].fy, cameras[0].cy) == (61.65, 62, 5.5)


def test_splits_are_the_lists_in_their_order(tmp_path: Path) -> None:
    write_data_set(tmp_path)
    assert open_dataset("arc2017", tmp_path, "train").names == ["000001-1", "000000-0"]
    everything = open_dataset("arc2017", tmp_path)
    assert everything.names == ["000001-1", "000000-0", "000001-0"]
    assert [sample.split for sample in everything] == ["train", "train", "test"]
    (tmp_path / "test-split.txt").write_text("000001-1")
    with pytest.raises(DatasetError, match="several frames named 000001-1"):
        open_dataset("arc2017", tmp_path)
    (tmp_path / "test-split.txt").write_text("\n")
    with pytest.raises(DatasetError, match=r"test-split\.txt: names no image"):
        open_dataset("arc2017", tmp_path, "test")


@pytest.mark.parametrize("kind", ["color-input", "depth-input", "label", "camera-intrinsics"])
def test_missing_folder_and_list_are_named(tmp_path: Path, kind: str) -> None:
    write_data_set(tmp_path)
    (tmp_path / kind).rename(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match=f"{kind}: no such folder"):
        open_dataset("arc2017", tmp_path)
    (tmp_path / "elsewhere").rename(tmp_path / kind)
    (tmp_path / "test-split.txt").unlink()
    assert len(open_dataset("arc2017", tmp_path, "train")) == 2
    with pytest.raises(DatasetError, match=r"test-split\.txt"):
        open_dataset("arc2017", tmp_path)


@pytest.mark.parametrize(
    "place", ["color-input/X.png", "depth-input/X.png", "label/X.png", "camera-intrinsics/X.txt"]
)
@pytest.mark.parametrize("damage", ["missing", "binary", "empty", "text"])
def test_broken_file_is_named_when_it_is_read(tmp_path: Path, place: str, damage: str) -> None:
    write_data_set(tmp_path)
    path = tmp_path / place.replace("X", "000000-0")
    damaged = {"binary": b"\xff\xfe\x00" * 9, "empty": b"", "text": b"1 2 3"}
    path.unlink() if damage == "missing" else path.write_bytes(damaged[damage])
    dataset = open_dataset("arc2017", tmp_path, "train")
    assert dataset[0].labels.any()
    with pytest.raises(DatasetError, match=place.replace("X", "000000-0")):
        dataset[1]


def test_other_labels_are_no_affordances(tmp_path: Path) -> None:
    write_data_set(tmp_path)
    label = np.full((HEIGHT, WIDTH), 127, np.uint8)
    cv2.imwrite(str(tmp_path / "label" / "000000-0.png"), label)
    with pytest.raises(DatasetError, match=r"label/000000-0\.png: expected labels 0, 128 and 255"):
        open_dataset("arc2017", tmp_path, "train")[1]


def test_float_depth_of_a_real_tote_is_cleaned(shared_data: Path) -> None:
    depth_m = np.load(shared_data / "arc_tote" / "data.npz")["depth"]
    cleaned = valid_depth(depth_m)
    assert np.isnan(depth_m).any() and depth_m[depth_m > 0].max() > 79
    np.testing.assert_array_equal(cleaned == 0, np.isnan(depth_m))
    np.testing.assert_array_equal(cleaned[cleaned > 0], depth_m[depth_m > 0])
