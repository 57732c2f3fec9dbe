"""Image files: what is written is read back, and a broken file is named."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repsam_ros import images
from repsam_ros.errors import DatasetError


def test_color_round_trip_keeps_channel_order(tmp_path: Path) -> None:
    color = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    images.write_png(tmp_path / "deep" / "a.png", color)
    np.testing.assert_array_equal(images.read_color(tmp_path / "deep" / "a.png"), color)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.png"]


def test_label_round_trip_keeps_high_ids(tmp_path: Path) -> None:
    labels = np.array([[0, 1], [300, 65535]], np.uint16)
    images.write_png(tmp_path / "a.png", labels)
    np.testing.assert_array_equal(images.read_labels(tmp_path / "a.png"), labels)


def test_depth_scale(tmp_path: Path) -> None:
    images.write_png(tmp_path / "a.png", np.array([[0, 12345]], np.uint16))
    np.testing.assert_array_equal(
        images.read_depth(tmp_path / "a.png", 0.0001), np.array([[0, 1.2345]], np.float32)
    )


def test_color_from_grey(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 4), 9, np.uint8))
    assert images.read_color(tmp_path / "a.png").tolist() == [[[9, 9, 9]] * 4] * 4


def test_color_image_is_no_label_map(tmp_path: Path) -> None:
    images.write_png(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"a\.png.*one channel"):
        images.read_labels(tmp_path / "a.png")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_cut_or_changed_png_is_refused_quietly(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = images.encode_png(np.arange(300, dtype=np.uint16).reshape(15, 20) * 7)
    position = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        broken = whole[:position]
    else:
        broken = whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :]
    path = tmp_path_factory.mktemp("broken") / "a.png"
    path.write_bytes(broken)
    with pytest.raises(DatasetError, match=r"a\.png"):
        images.read_labels(path)


def test_cut_jpeg_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    data = images.encode_jpeg(noise)
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(DatasetError, match=r"a\.jpg: truncated"):
        images.read_color(tmp_path / "a.jpg")


def test_written_jpeg_is_read_again_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 60 * 80).reshape(60, 80, 1).astype(np.uint8).repeat(3, axis=2)
    images.write_jpeg(tmp_path / "new" / "a.jpg", ramp)
    np.testing.assert_allclose(images.read_color(tmp_path / "new" / "a.jpg"), ramp, atol=4)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.jpg"]


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"gone\.png: No such file"):
        images.read_color(tmp_path / "gone.png")


def test_equal_stems_are_refused(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"a\.jpg and a\.png"):
        images.find_files(tmp_path)
    (tmp_path / "a.jpg").unlink()
    assert images.find_files(tmp_path) == {"a": tmp_path / "a.png"}
