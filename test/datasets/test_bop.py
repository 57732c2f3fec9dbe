"""The LINEMOD and LINEMOD-Occluded readers on small folders in the layout of BOP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from repsam_ros.datasets import open_dataset
from repsam_ros.errors import DatasetError

WIDTH, HEIGHT = 160, 120
K = [572.4114, 0.0, 32.5, 0.0, 573.57043, 24.2, 0.0, 0.0, 1.0]


def box(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


def write_image(scene: Path, image: int, masks: list[np.ndarray], depth_scale: float = 1.0) -> None:
    """One frame 800 steps away; ``masks`` are those of ``mask_visib`` in order of annotation."""
    for kind in ("rgb", "depth", "mask", "mask_visib"):
        (scene / kind).mkdir(parents=True, exist_ok=True)
    color = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    color[..., 0] = 200
    assert cv2.imwrite(str(scene / "rgb" / f"{image:06d}.png"), color)
    depth = np.full((HEIGHT, WIDTH), 800, np.uint16)
    depth[0] = 0
    assert cv2.imwrite(str(scene / "depth" / f"{image:06d}.png"), depth)
    for k, mask in enumerate(masks):
        silhouette = np.full_like(mask, 255)
        assert cv2.imwrite(str(scene / "mask" / f"{image:06d}_{k:06d}.png"), silhouette)
        assert cv2.imwrite(str(scene / "mask_visib" / f"{image:06d}_{k:06d}.png"), mask)
    truth = [{"obj_id": k + 5, "cam_t_m2c": [0, 0, 800]} for k in range(len(masks))]
    infos = [{"px_count_visib": int((mask > 0).sum())} for mask in masks]
    update(scene / "scene_camera.json", image, {"cam_K": K, "depth_scale": depth_scale})
    update(scene / "scene_gt.json", image, truth)
    update(scene / "scene_gt_info.json", image, infos)


def update(path: Path, image: int, entry: Any) -> None:
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | {str(image): entry}))


def write_targets(root: Path, images: list[tuple[int, int]]) -> None:
    entries = [
        {"im_id": image, "inst_count": 1, "obj_id": obj, "scene_id": scene}
        for scene, image in images
        for obj in (1, 5)
    ]
    (root / "test_targets_bop19.json").write_text(json.dumps(entries))


def test_labels_are_the_visible_masks(tmp_path: Path) -> None:
    masks = [box(10, 10, 30, 30), box(40, 40, 60, 60), box(0, 0, 0, 0), box(80, 80, 90, 90)]
    scene = tmp_path / "test" / "000002"
    write_image(scene, 3, masks)
    (sample,) = open_dataset("lmo", tmp_path)
    assert (sample.name, sample.scene) == ("000002/000003", "000002")
    assert np.unique(sample.labels).tolist() == [0, 1, 2, 4]
    np.testing.assert_array_equal(sample.labels == 4, masks[3] > 0)
    assert sample.frame.color[0, 0].tolist() == [0, 0, 200]


def test_mask_of_a_hidden_object_may_be_missing(tmp_path: Path) -> None:
    scene = tmp_path / "test" / "000002"
    write_image(scene, 0, [box(0, 0, 0, 0), box(10, 10, 30, 30)])
    (scene / "mask_visib" / "000000_000000.png").unlink()
    assert np.unique(open_dataset("lmo", tmp_path)[0].labels).tolist() == [0, 2]
    (scene / "mask_visib" / "000000_000001.png").unlink()
    with pytest.raises(DatasetError, match=r"mask_visib/000000_000001\.png"):
        open_dataset("lmo", tmp_path)[0]


def test_pixels_of_two_masks_are_of_neither(tmp_path: Path) -> None:
    scene = tmp_path / "test" / "000002"
    write_image(scene, 0, [box(10, 10, 30, 30), box(25, 10, 50, 30), box(28, 10, 32, 30)])
    (sample,) = open_dataset("lmo", tmp_path)
    assert sample.labels[15, 24] == 1 and sample.labels[15, 40] == 2
    assert sample.ignore[10:30, 25:32].all() and not sample.labels[10:30, 25:32].any()
    assert not sample.ignore[15, 24] and not sample.ignore[15, 40]


def test_depth_scale_and_camera_are_those_of_the_image(tmp_path: Path) -> None:
    scene = tmp_path / "test" / "000001"
    write_image(scene, 0, [box(10, 10, 30, 30)])
    write_image(scene, 1, [box(10, 10, 30, 30)], depth_scale=0.1)
    first, second = open_dataset("linemod", tmp_path)
    assert first.frame.depth_m[5, 5] == np.float32(0.8)
    assert second.frame.depth_m[5, 5] == np.float32(0.08)
    assert first.frame.depth_m[0, 0] == 0
    camera = first.frame.intrinsics
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (572.4114, 573.57043, 32.5, 24.2)


def test_what_lies_away_from_the_labelled_object_is_ignored(tmp_path: Path) -> None:
    write_image(tmp_path / "test" / "000001", 0, [box(10, 10, 30, 30)])
    (sample,) = open_dataset("linemod", tmp_path)
    assert sample.ignore[100, 100]
    assert not sample.ignore[20, 20] and not sample.ignore[20, 33] and sample.ignore[20, 36]


def test_images_are_in_order_of_number(tmp_path: Path) -> None:
    for scene, image in ((10, 0), (2, 11), (2, 9)):
        write_image(tmp_path / "test" / f"{scene:06d}", image, [box(1, 1, 5, 5)])
    names = open_dataset("linemod", tmp_path).names
    assert names == ["000002/000009", "000002/000011", "000010/000000"]


@pytest.mark.parametrize("name", ["linemod", "lmo"])
def test_targets_make_the_second_split(tmp_path: Path, name: str) -> None:
    for image in (0, 3, 8):
        write_image(tmp_path / "test" / "000002", image, [box(1, 1, 5, 5)])
    with pytest.raises(DatasetError, match=r"test_targets_bop19\.json"):
        open_dataset(name, tmp_path, "test_bop19")
    write_targets(tmp_path, [(2, 8), (2, 3)])
    targets = open_dataset(name, tmp_path, "test_bop19")
    assert targets.names == ["000002/000003", "000002/000008"]
    assert [sample.split for sample in targets] == ["test_bop19"] * 2
    assert len(open_dataset(name, tmp_path, "test")) == len(open_dataset(name, tmp_path)) == 3
    write_targets(tmp_path, [(2, 8), (2, 4), (3, 0)])
    with pytest.raises(DatasetError, match=r"not in test/: 000002/000004, 000003/000000"):
        open_dataset(name, tmp_path, "test_bop19")
    (tmp_path / "test_targets_bop19.json").write_text('{"scene_id": 2}')
    with pytest.raises(DatasetError, match=r"test_targets_bop19\.json"):
        open_dataset(name, tmp_path, "test_bop19")


def test_missing_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="test: no such folder"):
        open_dataset("lmo", tmp_path)
    (tmp_path / "test").mkdir()
    with pytest.raises(DatasetError, match="test: no scenes"):
        open_dataset("lmo", tmp_path)
    (tmp_path / "test" / "000002").mkdir()
    with pytest.raises(DatasetError, match=r"000002/scene_camera\.json"):
        open_dataset("lmo", tmp_path)


@pytest.mark.parametrize(
    "place", ["rgb/000001.png", "depth/000001.png", "mask_visib/000001_000000.png"]
)
@pytest.mark.parametrize("damage", ["missing", "truncated", "small"])
def test_broken_image_is_named_when_it_is_read(tmp_path: Path, place: str, damage: str) -> None:
    scene = tmp_path / "test" / "000002"
    for image in (0, 1):
        write_image(scene, image, [box(1, 1, 5, 5)])
    path = scene / place
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:60])
    else:
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:40])
    dataset = open_dataset("lmo", tmp_path)
    assert dataset[0].labels.any()
    # A small colour image shows in that the others do not fit it.
    named = "depth/000001.png" if (damage, place[:3]) == ("small", "rgb") else place
    with pytest.raises(DatasetError, match=named):
        dataset[1]


@pytest.mark.parametrize("name", ["scene_camera.json", "scene_gt.json", "scene_gt_info.json"])
@pytest.mark.parametrize("text", ["{", "[]", '{"a": []}', '{"0": 5}', '{"0": []}', '{"7": []}'])
def test_broken_annotations_are_named(tmp_path: Path, name: str, text: str) -> None:
    scene = tmp_path / "test" / "000002"
    write_image(scene, 0, [box(1, 1, 5, 5)])
    (scene / name).write_text(text)
    named = name
    if name == "scene_gt.json" and text == '{"0": []}':
        named = "scene_gt_info.json"  # one of the two is wrong
    if name == "scene_camera.json" and text == '{"7": []}':
        named = "rgb/000007.png"
    with pytest.raises(DatasetError, match=named):
        open_dataset("lmo", tmp_path)[0]


def test_image_without_objects_is_ignored(tmp_path: Path) -> None:
    write_image(tmp_path / "test" / "000002", 0, [])
    (sample,) = open_dataset("lmo", tmp_path)
    assert not sample.labels.any() and sample.ignore.all()
