"""The OCID reader on small folders in the layout of the release."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from repsam_ros.datasets import open_dataset
from repsam_ros.errors import DatasetError
from repsam_ros.images import write_png

SIZE = (48, 64)
NO_DEPTH_COLUMNS = 4
SHIFTED = "ARID10/floor/top/curved/seq05"


def write_frame(root: Path, sequence: str, name: str, ids: tuple[int, ...] = (1, 2, 3)) -> None:
    """A frame with ``ids`` in equal strips from left to right; no depth at the right border."""
    labels = np.repeat(np.array(ids, np.uint16), SIZE[1] // len(ids) + 1)[: SIZE[1]]
    labels = np.tile(labels, (SIZE[0], 1))
    depth = np.full(SIZE, 1234, np.uint16)
    for image in (labels, depth):
        image[:, -NO_DEPTH_COLUMNS:] = 0
    folder = root / sequence
    write_png(folder / "rgb" / f"{name}.png", np.full((*SIZE, 3), (255, 0, 0), np.uint8))
    write_png(folder / "depth" / f"{name}.png", depth)
    write_png(folder / "label" / f"{name}.png", labels)
    (folder / "pcd").mkdir(exist_ok=True)
    (folder / "pcd" / f"{name}.pcd").write_text("not read")


def ids_of(root: Path) -> list[int]:
    (sample,) = open_dataset("ocid", root)
    assert sample.labels.dtype == np.uint16
    return [int(k) for k in np.unique(sample.labels) if k]


def test_every_sub_set_support_view_and_kind_is_found(tmp_path: Path) -> None:
    sequences = [
        "ARID20/floor/bottom/seq03",
        "ARID20/table/top/seq12",
        *(f"ARID10/table/top/{k}/seq1" for k in ("box", "curved", "fruits", "mixed", "non-fruits")),
        *(f"YCB10/floor/bottom/{kind}/seq2" for kind in ("cuboid", "curved", "mixed")),
    ]
    for sequence in sequences:
        write_frame(tmp_path, sequence, "result_2018-08-20-10-00-02")
        write_frame(tmp_path, sequence, "result_2018-08-20-10-00-10")
    dataset = open_dataset("ocid", tmp_path)
    assert {name.rpartition("/")[0] for name in dataset.names} == set(sequences)
    assert len(dataset) == len(set(dataset.names)) == 2 * len(sequences)
    assert {sample.name for sample in dataset} == set(dataset.names)
    assert dataset.names[0] == "ARID10/table/top/box/seq1/result_2018-08-20-10-00-02"
    assert dataset.names == open_dataset("ocid", tmp_path, "test").names
    assert {sample.scene for sample in dataset} == set(sequences)


def test_the_folder_above_is_a_root_as_well(tmp_path: Path) -> None:
    write_frame(tmp_path / "OCID-dataset", "ARID20/floor/top/seq01", "a")
    assert open_dataset("ocid", tmp_path).names == ["ARID20/floor/top/seq01/a"]
    assert open_dataset("ocid", tmp_path / "OCID-dataset").names == ["ARID20/floor/top/seq01/a"]


def test_two_is_an_object_on_the_floor(tmp_path: Path) -> None:
    write_frame(tmp_path, "ARID20/floor/top/seq01", "a", (0, 1, 2, 3, 300))
    assert ids_of(tmp_path) == [2, 3, 300]


def test_two_is_the_table_top_on_a_table(tmp_path: Path) -> None:
    write_frame(tmp_path, "YCB10/table/top/mixed/seq01", "a", (0, 1, 2, 3, 300))
    assert ids_of(tmp_path) == [3, 300]


def test_ids_of_the_shifted_sequence_start_at_one(tmp_path: Path) -> None:
    write_frame(tmp_path, SHIFTED, "a", (0, 256, 257, 258))
    assert ids_of(tmp_path) == [2, 3]


def test_ids_from_256_elsewhere_are_not_shifted(tmp_path: Path) -> None:
    write_frame(tmp_path, SHIFTED.replace("seq05", "seq06"), "a", (1, 256, 257))
    assert ids_of(tmp_path) == [256, 257]


def test_depth_is_millimetres_and_the_border_stays_invalid(tmp_path: Path) -> None:
    write_frame(tmp_path, "ARID20/floor/top/seq01", "a")
    (sample,) = open_dataset("ocid", tmp_path)
    inside = sample.frame.depth_m[:, :-NO_DEPTH_COLUMNS]
    np.testing.assert_array_equal(inside, np.full(inside.shape, 1.234, np.float32))
    assert not sample.frame.depth_m[:, -NO_DEPTH_COLUMNS:].any()
    assert not sample.labels[:, -NO_DEPTH_COLUMNS:].any()
    assert not sample.ignore.any()
    assert sample.frame.color[0, 0].tolist() == [255, 0, 0]


def test_full_size_images_have_the_official_camera(tmp_path: Path) -> None:
    folder = tmp_path / "ARID20" / "floor" / "top" / "seq01"
    write_png(folder / "rgb" / "a.png", np.zeros((480, 640, 3), np.uint8))
    write_png(folder / "depth" / "a.png", np.zeros((480, 640), np.uint16))
    write_png(folder / "label" / "a.png", np.zeros((480, 640), np.uint16))
    camera = open_dataset("ocid", tmp_path)[0].frame.intrinsics
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (570.34, 570.34, 319.5, 239.5)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folder ARID20, ARID10 or YCB10"):
        open_dataset("ocid", tmp_path)
    (tmp_path / "ARID20" / "floor" / "top").mkdir(parents=True)
    with pytest.raises(DatasetError, match="no images at SUBSET/"):
        open_dataset("ocid", tmp_path)
    (tmp_path / "ARID20" / "floor" / "top" / "seq01").mkdir()
    with pytest.raises(DatasetError, match="seq01/rgb: no such folder"):
        open_dataset("ocid", tmp_path)


@pytest.mark.parametrize("folder", ["rgb", "depth", "label"])
def test_only_the_broken_frame_cannot_be_read(tmp_path: Path, folder: str) -> None:
    for name in ("a", "b"):
        write_frame(tmp_path, "ARID20/floor/top/seq01", name)
    path = tmp_path / "ARID20" / "floor" / "top" / "seq01" / folder / "b.png"
    data = bytearray(path.read_bytes())
    data[-20] ^= 0xFF
    path.write_bytes(bytes(data))
    dataset = open_dataset("ocid", tmp_path)
    assert dataset[0].name.endswith("/a")
    with pytest.raises(DatasetError, match=rf"seq01/{folder}/b\.png: corrupt PNG"):
        dataset[1]


@pytest.mark.parametrize("folder", ["depth", "label"])
def test_missing_partner_is_named_when_it_is_read(tmp_path: Path, folder: str) -> None:
    write_frame(tmp_path, "ARID20/floor/top/seq01", "a")
    (tmp_path / "ARID20" / "floor" / "top" / "seq01" / folder / "a.png").unlink()
    with pytest.raises(DatasetError, match=rf"{folder}/a\.png: No such file"):
        open_dataset("ocid", tmp_path)[0]
