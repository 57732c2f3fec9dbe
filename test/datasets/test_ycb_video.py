"""The YCB-Video reader on small folders in the layout of the release, and on real depth."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from repsam_ros.datasets import dataset_splits, open_dataset
from repsam_ros.errors import DatasetError
from repsam_ros.images import write_png

SIZE = (24, 32)
FIRST_CAMERA = np.array([[1066.778, 0, 312.9869], [0, 1067.487, 241.3109], [0, 0, 1]])
SECOND_CAMERA = np.array([[1077.836, 0, 323.7872], [0, 1078.189, 279.6921], [0, 0, 1]])
LISTS = {
    "train": ["0000/000001", "0091/000001"],
    "val": ["0048/000001", "0048/000002", "0059/000001"],
    "keyframe": ["0048/000001", "0059/000001"],
}


def write_meta(path: Path, matrix: np.ndarray, factor: float = 10000) -> None:
    values = {"intrinsic_matrix": matrix, "factor_depth": np.array([[factor]])}
    # MATLAB stores small whole numbers in fewer bytes and compresses.
    values["cls_indexes"] = np.array([[1], [21]], np.uint8)
    savemat(path, values, do_compression=True)


def write_frame(root: Path, name: str) -> None:
    """A frame with classes 1 and 21, 0.7654 m away."""
    labels = np.zeros(SIZE, np.uint8)
    labels[2:6, 2:6], labels[8:12, 8:12] = 1, 21
    depth = np.full(SIZE, 7654, np.uint16)
    depth[0] = 0
    stem = root / "data" / name
    write_png(Path(f"{stem}-color.png"), np.full((*SIZE, 3), (255, 128, 0), np.uint8))
    write_png(Path(f"{stem}-depth.png"), depth)
    write_png(Path(f"{stem}-label.png"), labels)
    write_meta(Path(f"{stem}-meta.mat"), SECOND_CAMERA if name >= "0060" else FIRST_CAMERA)


def write_lists(root: Path, lists: dict[str, list[str]]) -> None:
    (root / "image_sets").mkdir(exist_ok=True)
    for split, names in lists.items():
        (root / "image_sets" / f"{split}.txt").write_text("\n".join(names) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in {name for names in LISTS.values() for name in names}:
        write_frame(tmp_path, name)
    write_lists(tmp_path, LISTS)
    return tmp_path


def test_lists_make_the_splits(root: Path) -> None:
    assert dataset_splits("ycb_video") == ("train", "val", "keyframe")
    for split, names in LISTS.items():
        dataset = open_dataset("ycb_video", root, split)
        assert dataset.names == names
        assert {sample.split for sample in dataset} == {split}


def test_without_a_split_each_frame_is_there_once(root: Path) -> None:
    dataset = open_dataset("ycb_video", root)
    splits = {sample.name: sample.split for sample in dataset}
    assert len(splits) == len(dataset) == 5
    assert splits["0048/000001"] == "keyframe"
    assert splits["0048/000002"] == "val"


def test_depth_is_in_tenths_of_a_millimetre(root: Path) -> None:
    frame = open_dataset("ycb_video", root, "val")[0].frame
    assert frame.depth_m.dtype == np.float32
    assert frame.depth_m[5, 5] == np.float32(0.7654)
    assert not frame.depth_m[0].any()
    assert frame.color[0, 0].tolist() == [255, 128, 0]


def test_another_depth_factor_is_obeyed(root: Path) -> None:
    write_meta(root / "data" / "0048" / "000001-meta.mat", FIRST_CAMERA, 1000)
    assert open_dataset("ycb_video", root, "val")[0].frame.depth_m[5, 5] == np.float32(7.654)


def test_each_frame_has_the_camera_of_its_meta_file(root: Path) -> None:
    first, second = (sample.frame.intrinsics for sample in open_dataset("ycb_video", root, "train"))
    assert (first.fx, first.fy, first.cx, first.cy) == (1066.778, 1067.487, 312.9869, 241.3109)
    assert (second.fx, second.fy, second.cx, second.cy) == (1077.836, 1078.189, 323.7872, 279.6921)


def test_the_class_is_the_instance(root: Path) -> None:
    sample = open_dataset("ycb_video", root, "keyframe")[0]
    assert sample.labels.dtype == np.uint16
    assert np.unique(sample.labels).tolist() == [0, 1, 21]
    assert not sample.ignore.any()
    assert sample.scene == "0048"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="data: no such folder"):
        open_dataset("ycb_video", tmp_path)
    write_frame(tmp_path, "0048/000001")
    with pytest.raises(DatasetError, match=r"image_sets/keyframe\.txt: No such file"):
        open_dataset("ycb_video", tmp_path, "keyframe")


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"", "got none"), (b"0048/000001\n48/1\n", "got '48/1'"), (b"\xff\xfe\x00", "not a text")],
)
def test_a_list_that_is_none_is_named(root: Path, content: bytes, found: str) -> None:
    (root / "image_sets" / "val.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=rf"image_sets/val\.txt: .*{found}"):
        open_dataset("ycb_video", root, "val")


@pytest.mark.parametrize("kind", ["color.png", "depth.png", "label.png", "meta.mat"])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_only_the_broken_frame_cannot_be_read(root: Path, kind: str, damage: str) -> None:
    path = root / "data" / "0048" / f"000002-{kind}"
    data = path.read_bytes()
    path.unlink()
    if damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    dataset = open_dataset("ycb_video", root, "val")
    with pytest.raises(DatasetError, match=rf"0048/000002-{kind}: "):
        dataset[1]
    assert dataset[2].name == "0059/000001"


def test_real_depth(shared_data: Path, tmp_path: Path) -> None:
    """Real frames in the layout of the data set; their labels were not released."""
    demo = shared_data / "ycb_video_demo"
    rig = json.loads((demo / "camera.json").read_text())["rig"]["camera"]
    fx, fy, cx, cy = rig[0]["camera_model"]["params"][:4]
    folder = tmp_path / "data" / "0048"
    folder.mkdir(parents=True)
    names = [f"{k:06d}" for k in range(1, 6)]
    for name in names:
        for kind in ("color", "depth"):
            (folder / f"{name}-{kind}.png").symlink_to(demo / f"{name}-{kind}.png")
        assert cv2.imwrite(str(folder / f"{name}-label.png"), np.zeros((480, 640), np.uint8))
        matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        write_meta(folder / f"{name}-meta.mat", matrix)
    write_lists(tmp_path, {"keyframe": [f"0048/{name}" for name in names]})
    samples = list(open_dataset("ycb_video", tmp_path, "keyframe"))
    assert len(samples) == 5
    for sample in samples:
        valid = sample.frame.depth_m[sample.frame.depth_m > 0]
        assert valid.size > 0.5 * sample.labels.size
        near_m, far_m = np.quantile(valid, (0.05, 0.95))
        assert 0.4 < near_m < 1.5 and 0.8 < far_m < 4  # a table before a hand-held camera
        assert sample.frame.intrinsics.fx == pytest.approx(1066.778)
