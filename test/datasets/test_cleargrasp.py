"""The ClearGrasp reader on small folders in the published layout, and on real frames."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from repsam_ros.datasets import Sample, open_dataset
from repsam_ros.datasets.cleargrasp import D435
from repsam_ros.errors import BackendError, DatasetError

OpenEXR = pytest.importorskip("OpenEXR", reason="needs OpenEXR, of the extra exr")

WIDTH, HEIGHT = 128, 72


def write_exr(path: Path, pixels: np.ndarray, kind: type = np.float16) -> None:
    """Three equal channels, as in the data set."""
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    channel = np.ascontiguousarray(pixels, kind)
    with OpenEXR.File(header, dict.fromkeys("RGB", channel)) as file:
        file.write(str(path))


def write_intrinsics(folder: Path, width: int = WIDTH, height: int = HEIGHT) -> None:
    (folder / "camera_intrinsics.yaml").write_text(
        "# Camera Intrinsic Parameters\ncamera_name: 'D435'\n"
        f"xres: {width}\nyres: {height}\nfx: 92\nfy: 91\ncx: 64\ncy: 36\n"
    )


def write_real(folder: Path, stem: str) -> None:
    """Grey, with two clear objects that do not touch: 0.6 m away where the twin is seen, 0.9 m."""
    folder.mkdir(parents=True, exist_ok=True)
    color = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:20, 10:20] = 255
    mask[40:60, 50:80] = 255
    true = np.where(mask > 0, 0.625, 1.0)
    raw = np.where(mask > 0, 0.875, 1.0)
    raw[12, 12], raw[13, 13], raw[14, 14], raw[0, 0] = np.nan, 0, np.inf, -1
    true[0, :5] = np.nan
    assert cv2.imwrite(str(folder / f"{stem}-transparent-rgb-img.jpg"), color)
    assert cv2.imwrite(str(folder / f"{stem}-opaque-rgb-img.jpg"), color)
    assert cv2.imwrite(str(folder / f"{stem}-mask.png"), mask)
    write_exr(folder / f"{stem}-transparent-depth-img.exr", raw)
    write_exr(folder / f"{stem}-opaque-depth-img.exr", true)
    write_exr(folder / f"{stem}-normals.exr", true)


def write_rendered(folder: Path, stem: str) -> None:
    """Two objects that touch (values 101, 100) and one of the JSON that is not seen (102)."""
    variants = np.zeros((HEIGHT, WIDTH))
    variants[10:30, 10:20], variants[10:30, 20:40] = 101, 100
    variants[50:, :10] = 7  # no object of the JSON
    depth = np.where(variants >= 100, 0.5, 1.5)
    kinds = ("rgb-imgs", "depth-imgs-rectified", "segmentation-masks", "variant-masks")
    for kind in (*kinds, "json-files"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    color = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert cv2.imwrite(str(folder / kinds[0] / f"{stem}-rgb.jpg"), color)
    write_exr(folder / kinds[1] / f"{stem}-depth-rectified.exr", depth)
    mask = np.where(variants >= 100, 255, 0).astype(np.uint8)
    assert cv2.imwrite(str(folder / kinds[2] / f"{stem}-segmentation-mask.png"), mask)
    write_exr(folder / kinds[3] / f"{stem}-variantMasks.exr", variants, np.float32)
    objects = {str(value): {"instance_number": value - 100} for value in (102, 100, 101)}
    content = {
        "variants": {"masks_and_poses_by_pixel_value": objects},
        "camera": {
            "field_of_view": {"x_axis_rads": math.pi / 2, "y_axis_rads": 2 * math.atan(0.5)}
        },
    }
    (folder / "json-files" / f"{stem}-masks.json").write_text(json.dumps(content))


def read_real(tmp_path: Path) -> Sample:
    write_real(tmp_path, "000000080")
    write_intrinsics(tmp_path)
    return open_dataset("cleargrasp", tmp_path)[0]


def test_real_depth_is_of_the_sensor_and_true_depth_of_the_twin(tmp_path: Path) -> None:
    sample = read_real(tmp_path)
    assert sample.frame.depth_m[15, 11] == np.float32(0.875)
    assert sample.true_depth_m is not None
    assert sample.true_depth_m[15, 11] == np.float32(0.625)
    assert sample.frame.color[0, 0].tolist() == [90, 90, 90]


def test_zero_nan_infinite_and_negative_depth_is_invalid(tmp_path: Path) -> None:
    sample = read_real(tmp_path)
    for row, column in ((12, 12), (13, 13), (14, 14), (0, 0)):
        assert sample.frame.depth_m[row, column] == 0
    assert sample.true_depth_m is not None
    assert not sample.true_depth_m[0, :5].any() and sample.true_depth_m[0, 5] == 1
    assert sample.frame.depth_m.dtype == sample.true_depth_m.dtype == np.float32


def test_real_instances_are_the_connected_parts_of_the_mask(tmp_path: Path) -> None:
    sample = read_real(tmp_path)
    assert np.unique(sample.labels).tolist() == [0, 1, 2]
    assert sample.labels[10, 10] != sample.labels[50, 60]
    assert sample.transparent is not None
    np.testing.assert_array_equal(sample.transparent, sample.labels > 0)
    # Opaque objects have no label: only what lies close to a labelled one is background.
    assert not sample.ignore[11, 21] and not sample.ignore[11, 11] and sample.ignore[70, 5]


def test_real_camera_comes_from_the_yaml(tmp_path: Path) -> None:
    camera = read_real(tmp_path).frame.intrinsics
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (92, 91, 64, 36)
    write_intrinsics(tmp_path, width=1280)
    with pytest.raises(DatasetError, match=r"yaml: of 1280x72 pixels, but the images have 128x72"):
        open_dataset("cleargrasp", tmp_path)[0]
    (tmp_path / "camera_intrinsics.yaml").write_text("fx: [")
    with pytest.raises(DatasetError, match=r"camera_intrinsics\.yaml"):
        open_dataset("cleargrasp", tmp_path)[0]


@pytest.mark.parametrize("camera", ["d435", "d415"])
def test_only_the_d435_is_known_without_a_yaml(tmp_path: Path, camera: str) -> None:
    folder = tmp_path / "real-test" / camera
    write_real(folder, "000000000")
    for path in folder.iterdir():
        if path.suffix == ".exr":
            write_exr(path, np.full((720, 1280), 0.5))
        else:
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            large = cv2.resize(image, (1280, 720), interpolation=cv2.INTER_NEAREST)
            assert cv2.imwrite(str(path), large)
    dataset = open_dataset("cleargrasp", tmp_path)
    if camera == "d415":
        with pytest.raises(DatasetError, match=r"d415/camera_intrinsics\.yaml"):
            dataset[0]
        return
    assert dataset[0].frame.intrinsics == D435


def test_rendered_instances_are_the_variants_of_the_json(tmp_path: Path) -> None:
    write_rendered(tmp_path / "cup-train", "000000002")
    (sample,) = open_dataset("cleargrasp", tmp_path)
    assert np.unique(sample.labels).tolist() == [0, 1, 2]
    assert sample.labels[15, 15] == 2 and sample.labels[15, 25] == 1
    assert sample.labels[60, 5] == 0
    assert not sample.ignore.any()


def test_rendered_depth_is_hidden_where_no_sensor_measures_it(tmp_path: Path) -> None:
    write_rendered(tmp_path / "cup-train", "000000002")
    (sample,) = open_dataset("cleargrasp", tmp_path)
    assert sample.true_depth_m is not None and sample.transparent is not None
    assert sample.true_depth_m[15, 15] == 0.5 and sample.frame.depth_m[15, 15] == 0
    assert sample.frame.depth_m[60, 60] == 1.5
    np.testing.assert_array_equal(sample.frame.depth_m == 0, sample.transparent)


def test_rendered_camera_comes_from_the_field_of_view(tmp_path: Path) -> None:
    write_rendered(tmp_path / "cup-train", "000000002")
    camera = open_dataset("cleargrasp", tmp_path)[0].frame.intrinsics
    assert camera.fx == pytest.approx(64) and camera.fy == pytest.approx(72)
    assert (camera.cx, camera.cy) == (63.5, 35.5)


def test_splits_are_those_of_the_folders(tmp_path: Path) -> None:
    train, rest = tmp_path / "cleargrasp-dataset-train", tmp_path / "cleargrasp-dataset-test-val"
    write_rendered(train / "square-plastic-bottle-train", "000000001")
    write_rendered(rest / "synthetic-val" / "square-plastic-bottle-val", "000000001")
    write_rendered(rest / "synthetic-test" / "star-bath-bomb-test", "000000001")
    write_real(rest / "real-val" / "d435", "000000001")
    for camera in ("d415", "d435"):
        write_real(rest / "real-test" / camera, "000000001")
        write_intrinsics(rest / "real-test" / camera)
    names = {
        split: open_dataset("cleargrasp", tmp_path, split).names
        for split in ("synthetic-train", "synthetic-val", "synthetic-test", "real-val", "real-test")
    }
    assert [len(found) for found in names.values()] == [1, 1, 1, 1, 2]
    assert names["real-test"][0] == "cleargrasp-dataset-test-val/real-test/d415/000000001"
    assert open_dataset("cleargrasp", tmp_path, "real-test")[1].split == "real-test"
    everything = open_dataset("cleargrasp", tmp_path).names
    assert len(set(everything)) == len(everything) == 6
    assert open_dataset("cleargrasp", rest / "real-test" / "d415")[0].split == "real-test"
    with pytest.raises(DatasetError, match="synthetic-val"):
        open_dataset("cleargrasp", rest / "real-test", "synthetic-val")


def test_missing_folder_and_empty_root_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no frames, which are N-transparent-rgb-img"):
        open_dataset("cleargrasp", tmp_path)
    write_rendered(tmp_path / "cup-train", "000000002")
    (tmp_path / "cup-train" / "variant-masks").rename(tmp_path / "cup-train" / "masks")
    with pytest.raises(DatasetError, match="variant-masks: no such folder"):
        open_dataset("cleargrasp", tmp_path)
    (tmp_path / "cup-train").rename(tmp_path / "cup")
    with pytest.raises(DatasetError, match="cup: expected a name that ends in"):
        open_dataset("cleargrasp", tmp_path)


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "text"])
@pytest.mark.parametrize("kind", ["transparent-depth-img.exr", "opaque-depth-img.exr", "mask.png"])
def test_broken_file_is_named_when_its_frame_is_read(
    tmp_path: Path, kind: str, damage: str
) -> None:
    write_intrinsics(tmp_path)
    for stem in ("000000001", "000000002"):
        write_real(tmp_path, stem)
    path = tmp_path / f"000000002-{kind}"
    data = path.read_bytes()
    damaged = {"truncated": data[: len(data) * 3 // 4], "empty": b"", "text": b"no image" * 99}
    path.unlink() if damage == "missing" else path.write_bytes(damaged[damage])
    dataset = open_dataset("cleargrasp", tmp_path)
    assert dataset[0].name == "000000001"
    with pytest.raises(DatasetError, match=f"000000002-{kind}"):
        dataset[1]


def test_broken_rendered_files_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "cup-train"
    write_rendered(folder, "000000002")
    dataset = open_dataset("cleargrasp", tmp_path)
    content = folder / "json-files" / "000000002-masks.json"
    for text in ("{", '{"variants": {}}', "[]"):
        content.write_text(text)
        with pytest.raises(DatasetError, match=r"000000002-masks\.json"):
            dataset[0]
    write_exr(folder / "variant-masks" / "000000002-variantMasks.exr", np.zeros((4, 6)))
    with pytest.raises(DatasetError, match=r"variantMasks\.exr: expected 128x72 .*, got 6x4"):
        dataset[0]


def test_without_openexr_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_real(tmp_path, "000000001")
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(BackendError, match=r"pip install 'repsam_ros\[exr\]'"):
        open_dataset("cleargrasp", tmp_path)[0]


def test_real_frames(shared_data: Path) -> None:
    dataset = open_dataset("cleargrasp", shared_data / "cleargrasp_real")
    assert dataset.names == ["000000080", "000000123"]
    for sample, objects in zip(dataset, (4, 3), strict=True):
        assert sample.frame.intrinsics == D435
        assert sample.labels.max() == objects
        assert sample.transparent is not None and sample.true_depth_m is not None
        for depth_m in (sample.frame.depth_m, sample.true_depth_m):
            assert np.isfinite(depth_m).all() and (depth_m >= 0).all() and depth_m.max() < 2
        # Much of the plastic has no depth; its painted twin has nearly everywhere.
        missing = (sample.frame.depth_m[sample.transparent] == 0).mean()
        assert 0.25 < missing < 0.8
        assert (sample.true_depth_m[sample.transparent] == 0).mean() < 0.2
