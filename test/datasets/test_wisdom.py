"""The WISDOM reader on small folders in the layouts of its real and its simulated part."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from repsam_ros.datasets import open_dataset
from repsam_ros.errors import DatasetError

WIDTH, HEIGHT = 16, 12


def write_image(
    folder: Path, index: int, *, real: bool, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> None:
    """Two objects; the depth picture is 77, the metric depth 0.75 m with holes of all kinds."""
    label = np.zeros(size, np.uint8)
    label[2:5, 2:6], label[6:9, 8:12] = 1, 2
    images = {
        "depth_ims": np.full((*size, 3) if real else size, 77, np.uint8),
        "modal_segmasks": label,
        "segmasks_filled": np.where(label > 0, 255, 0).astype(np.uint8),
    }
    if real:
        images["color_ims"] = np.full((*size, 3), (10, 20, 30), np.uint8)
        depth_m = np.full((*size, 1), 0.75, np.float32)
        depth_m[0, :4, 0] = np.nan, np.inf, -1, 0
        (folder / "depth_ims_numpy").mkdir(parents=True, exist_ok=True)
        np.save(folder / "depth_ims_numpy" / f"image_{index:06d}.npy", depth_m)
    for kind, image in images.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / kind / f"image_{index:06d}.png"), image)


def write_camera(folder: Path, width: int = WIDTH) -> None:
    values = {"_fx": 20.0, "_fy": 21.0, "_cx": 7.5, "_cy": 5.5, "_skew": 0.0, "_frame": "phoxi"}
    content = values | {"_width": width, "_height": HEIGHT, "_K": 0}
    (folder / "camera_intrinsics.intr").write_text(json.dumps(content))


def write_indices(folder: Path, **splits: list[int]) -> None:
    for split, indices in splits.items():
        np.save(folder / f"{split}_indices.npy", np.array(indices))


def write_real(folder: Path) -> None:
    for index in (3, 12, 0):
        write_image(folder, index, real=True)
    write_indices(folder, train=[12], test=[3, 0])
    write_camera(folder)


@pytest.mark.parametrize("folder", ["depth_ims_numpy", "depth_numpy"])
def test_only_the_numpy_folder_is_metric(tmp_path: Path, folder: str) -> None:
    write_real(tmp_path)
    (tmp_path / "depth_ims_numpy").rename(tmp_path / folder)
    sample = open_dataset("wisdom", tmp_path, "test")[0]
    assert sample.frame.depth_m.dtype == np.float32
    assert not sample.frame.depth_m[0, :4].any()
    assert (sample.frame.depth_m[0, 4:] == 0.75).all() and (sample.frame.depth_m[1:] == 0.75).all()
    assert sample.frame.color[0, 0].tolist() == [30, 20, 10]


def test_a_depth_picture_is_colour_and_no_depth(tmp_path: Path) -> None:
    write_image(tmp_path, 0, real=False)
    write_indices(tmp_path, train=[0])
    write_camera(tmp_path)
    (sample,) = open_dataset("wisdom", tmp_path)
    assert not sample.frame.depth_m.any()
    assert (sample.frame.color == 77).all() and sample.frame.color.shape == (HEIGHT, WIDTH, 3)


def test_labels_are_the_modal_masks(tmp_path: Path) -> None:
    write_real(tmp_path)
    sample = open_dataset("wisdom", tmp_path)[0]
    assert np.unique(sample.labels).tolist() == [0, 1, 2]
    assert (sample.labels[2:5, 2:6] == 1).all() and not sample.ignore.any()


def test_splits_are_the_index_files_in_their_order(tmp_path: Path) -> None:
    write_real(tmp_path)
    assert open_dataset("wisdom", tmp_path, "test").names == ["image_000003", "image_000000"]
    assert open_dataset("wisdom", tmp_path, "test")[0].split == "test"
    assert open_dataset("wisdom", tmp_path).names[0] == "image_000012"
    (tmp_path / "train_indices.npy").unlink()
    assert len(open_dataset("wisdom", tmp_path)) == 2
    with pytest.raises(DatasetError, match=r"train_indices\.npy"):
        open_dataset("wisdom", tmp_path, "train")
    (tmp_path / "test_indices.npy").unlink()
    with pytest.raises(DatasetError, match="neither train_indices"):
        open_dataset("wisdom", tmp_path)


def test_several_folders_make_one_data_set(tmp_path: Path) -> None:
    for folder in (tmp_path / "wisdom-real" / "high-res", tmp_path / "wisdom-real" / "low-res"):
        write_real(folder)
    write_image(tmp_path / "wisdom-sim", 5, real=False)
    write_indices(tmp_path / "wisdom-sim", train=[5], test=[])
    names = open_dataset("wisdom", tmp_path, "train").names
    assert names == [
        "wisdom-real/high-res/image_000012",
        "wisdom-real/low-res/image_000012",
        "wisdom-sim/image_000005",
    ]


def test_camera_comes_from_the_file_of_the_folder(tmp_path: Path) -> None:
    write_real(tmp_path)
    camera = open_dataset("wisdom", tmp_path)[0].frame.intrinsics
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (20, 21, 7.5, 5.5)
    write_camera(tmp_path, width=17)
    with pytest.raises(DatasetError, match=r"intr: of 17x12 pixels, but the images have 16x12"):
        open_dataset("wisdom", tmp_path)[0]
    for text in ("{", "{}", "[]"):
        (tmp_path / "camera_intrinsics.intr").write_text(text)
        with pytest.raises(DatasetError, match=r"camera_intrinsics\.intr"):
            open_dataset("wisdom", tmp_path)[0]


@pytest.mark.parametrize(
    ("size", "fx", "cx", "cy"),
    [
        ((772, 1032), 1105.0, 511.5, 384.0),
        ((386, 516), 552.5, 255.5, 191.75),
        ((480, 640), 525.0, 319.5, 239.5),
        ((384, 512), 547.5, 255.5, 191.5),
    ],
)
def test_without_a_file_the_size_tells_the_camera(
    tmp_path: Path, size: tuple[int, int], fx: float, cx: float, cy: float
) -> None:
    write_image(tmp_path, 0, real=False, size=size)
    write_indices(tmp_path, test=[0])
    camera = open_dataset("wisdom", tmp_path)[0].frame.intrinsics
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (fx, fx, cx, cy)


def test_unknown_size_without_a_file_is_an_error(tmp_path: Path) -> None:
    write_image(tmp_path, 0, real=False)
    write_indices(tmp_path, test=[0])
    with pytest.raises(DatasetError, match=r"no \*\.intr file, and no camera has 16x12 pixels"):
        open_dataset("wisdom", tmp_path)[0]


def test_root_without_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no modal_segmasks/"):
        open_dataset("wisdom", tmp_path)


@pytest.mark.parametrize(
    "indices", [np.zeros((2, 2), int), np.array([0.5]), np.array([{"a": 1}], object), None]
)
def test_broken_index_file_is_named(tmp_path: Path, indices: np.ndarray | None) -> None:
    write_real(tmp_path)
    path = tmp_path / "test_indices.npy"
    path.write_bytes(b"no array") if indices is None else np.save(path, indices)
    with pytest.raises(DatasetError, match=r"test_indices\.npy"):
        open_dataset("wisdom", tmp_path, "test")
    write_indices(tmp_path, test=[12])
    with pytest.raises(DatasetError, match="several frames named image_000012"):
        open_dataset("wisdom", tmp_path)


@pytest.mark.parametrize(
    "place",
    ["color_ims/X.png", "modal_segmasks/X.png", "depth_ims_numpy/X.npy"],
)
@pytest.mark.parametrize("damage", ["missing", "truncated", "small"])
def test_broken_file_is_named_when_it_is_read(tmp_path: Path, place: str, damage: str) -> None:
    write_real(tmp_path)
    path = tmp_path / place.replace("X", "image_000000")
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-20])
    elif path.suffix == ".npy":
        np.save(path, np.load(path)[:4])
    else:
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:4])
    dataset = open_dataset("wisdom", tmp_path, "test")
    assert dataset[0].labels.any()
    # A small colour image shows in that the others do not fit it.
    named = "modal_segmasks/X.png" if (damage, place[:5]) == ("small", "color") else place
    with pytest.raises(DatasetError, match=named.replace("X", "image_000000")):
        dataset[1]


def test_whole_numbers_are_no_metric_depth(tmp_path: Path) -> None:
    write_real(tmp_path)
    path = tmp_path / "depth_ims_numpy" / "image_000000.npy"
    np.save(path, np.full((HEIGHT, WIDTH), 750, np.uint16))
    with pytest.raises(DatasetError, match=r"image_000000\.npy: expected \(H, W\) float metres"):
        open_dataset("wisdom", tmp_path, "test")[1]
