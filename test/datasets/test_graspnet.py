"""The GraspNet-1Billion reader on small folders in the layout of the release."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from repsam_ros.datasets import dataset_splits, open_dataset
from repsam_ros.datasets.graspnet import Config, build
from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.images import write_png

SIZE = (18, 32)
MATRICES = {
    "realsense": np.array([[927.17, 0, 651.32], [0, 927.37, 349.62], [0, 0, 1]]),
    "kinect": np.array([[631.55, 0, 638.43], [0, 631.21, 366.50], [0, 0, 1]]),
}
FIRST_SCENES = {"train": 0, "test_seen": 100, "test_similar": 130, "test_novel": 160}
LAST_SCENES = {"train": 99, "test_seen": 129, "test_similar": 159, "test_novel": 189}


def write_view(root: Path, scene: int, view: int, camera: str, factor: float = 1000.0) -> Path:
    """One view with objects 0 and 87, half a metre away; returns the camera's folder."""
    folder = root / "scenes" / f"scene_{scene:04d}" / camera
    labels = np.zeros(SIZE, np.uint8)
    labels[2:6, 2:6], labels[8:12, 8:12] = 1, 88
    depth = np.full(SIZE, 0.5 * factor, np.uint16)
    depth[0] = 0
    name = f"{view:04d}"
    write_png(folder / "rgb" / f"{name}.png", np.full((*SIZE, 3), (0, 255, 0), np.uint8))
    write_png(folder / "depth" / f"{name}.png", depth)
    write_png(folder / "label" / f"{name}.png", labels)
    (folder / "meta").mkdir(exist_ok=True)
    meta = {"poses": np.zeros((3, 4, 2)), "intrinsic_matrix": MATRICES[camera]}
    savemat(folder / "meta" / f"{name}.mat", {**meta, "factor_depth": np.array([[factor]])})
    np.save(folder / "camK.npy", MATRICES[camera])
    return folder


def test_scene_numbers_make_the_splits(tmp_path: Path) -> None:
    assert dataset_splits("graspnet") == tuple(FIRST_SCENES)
    for scene in (*FIRST_SCENES.values(), *LAST_SCENES.values()):
        write_view(tmp_path, scene, 0, "realsense")
    for split in FIRST_SCENES:
        dataset = open_dataset("graspnet", tmp_path, split)
        scenes = [FIRST_SCENES[split], LAST_SCENES[split]]
        assert dataset.names == [f"scene_{scene:04d}/0000" for scene in scenes]
        assert {sample.split for sample in dataset} == {split}
        assert [sample.scene for sample in dataset] == [f"scene_{scene:04d}" for scene in scenes]
    every = open_dataset("graspnet", tmp_path)
    assert len(every) == 8
    assert [sample.split for sample in every][::2] == list(FIRST_SCENES)


@pytest.mark.parametrize("factor", [1000.0, 10000.0])
def test_depth_is_in_steps_that_the_meta_file_names(tmp_path: Path, factor: float) -> None:
    write_view(tmp_path, 0, 0, "realsense", factor)
    (sample,) = open_dataset("graspnet", tmp_path)
    assert sample.frame.depth_m.dtype == np.float32
    assert sample.frame.depth_m[5, 5] == pytest.approx(0.5)
    assert not sample.frame.depth_m[0].any()


def test_ids_are_the_object_numbers_plus_one(tmp_path: Path) -> None:
    write_view(tmp_path, 0, 0, "realsense")
    (sample,) = open_dataset("graspnet", tmp_path)
    assert sample.labels.dtype == np.uint16
    assert np.unique(sample.labels).tolist() == [0, 1, 88]
    assert not sample.ignore.any()
    assert sample.frame.color[0, 0].tolist() == [0, 255, 0]


def test_either_camera_is_read_with_its_own_matrix(tmp_path: Path) -> None:
    write_view(tmp_path, 0, 0, "kinect")
    write_view(tmp_path, 0, 7, "realsense")
    (kinect,) = build(Config(tmp_path, camera="kinect"))
    assert kinect.name == "scene_0000/0000"
    assert (kinect.frame.intrinsics.fx, kinect.frame.intrinsics.cy) == (631.55, 366.50)
    (realsense,) = open_dataset("graspnet", tmp_path)
    assert realsense.name == "scene_0000/0007"
    assert (realsense.frame.intrinsics.fy, realsense.frame.intrinsics.cx) == (927.37, 651.32)
    (other,) = open_dataset("graspnet", tmp_path, camera="kinect")
    assert (other.name, other.frame.intrinsics) == (kinect.name, kinect.frame.intrinsics)
    with pytest.raises(ConfigError, match="'zed' of graspnet; there are: realsense, kinect"):
        open_dataset("graspnet", tmp_path, camera="zed")
    with pytest.raises(ConfigError, match="'lens' of graspnet; there are: camera"):
        open_dataset("graspnet", tmp_path, lens="wide")
    with pytest.raises(ConfigError, match="camera"):
        open_dataset("graspnet", tmp_path, camera=3)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="scenes: no such folder"):
        open_dataset("graspnet", tmp_path)
    write_view(tmp_path, 0, 0, "kinect")
    with pytest.raises(DatasetError, match="scene_0000/realsense/rgb: no such folder"):
        open_dataset("graspnet", tmp_path)
    write_view(tmp_path, 0, 0, "realsense")
    with pytest.raises(DatasetError, match="scenes: no images of test_seen by realsense"):
        open_dataset("graspnet", tmp_path, "test_seen")


@pytest.mark.parametrize("kind", ["meta", "camK", "label"])
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text"])
def test_only_the_broken_frame_cannot_be_read(tmp_path: Path, kind: str, damage: str) -> None:
    write_view(tmp_path, 0, 1, "realsense")
    folder = write_view(tmp_path, 1, 1, "realsense")
    files = {"meta": "meta/0001.mat", "camK": "camK.npy", "label": "label/0001.png"}
    path = folder / files[kind]
    data = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(
            {"empty": b"", "truncated": data[: len(data) // 2], "text": b"404\n" * 80}[damage]
        )
    dataset = open_dataset("graspnet", tmp_path)
    assert dataset[0].name == "scene_0000/0001"
    with pytest.raises(DatasetError, match=f"scene_0001/realsense/{files[kind]}: "):
        dataset[1]


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"poses": np.zeros(3)}, "0000.mat: no variable factor_depth"),
        ({"factor_depth": 0.0}, "factor_depth must be one positive number"),
        ({"factor_depth": np.ones(3)}, "factor_depth must be one positive number"),
        ({"factor_depth": "none"}, "0000.mat: not a readable MAT file"),
    ],
)
def test_unusable_meta_values_are_named(tmp_path: Path, meta: dict, message: str) -> None:
    folder = write_view(tmp_path, 0, 0, "realsense")
    savemat(folder / "meta" / "0000.mat", meta)
    with pytest.raises(DatasetError, match=message):
        open_dataset("graspnet", tmp_path)[0]


@pytest.mark.parametrize("matrix", [np.eye(4), np.zeros((3, 3)), np.full((3, 3), np.nan)])
def test_unusable_camera_matrices_are_named(tmp_path: Path, matrix: np.ndarray) -> None:
    folder = write_view(tmp_path, 0, 0, "realsense")
    np.save(folder / "camK.npy", matrix)
    with pytest.raises(DatasetError, match=r"realsense/camK\.npy: "):
        open_dataset("graspnet", tmp_path)[0]
