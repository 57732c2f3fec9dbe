"""Figures, warnings and picture of one frame."""

from __future__ import annotations

import numpy as np
import pytest

from repsam_ros.datasets import Sample
from repsam_ros.evaluation.dataset.check import check_frame
from repsam_ros.evaluation.dataset.tile import draw_tile
from repsam_ros.structures import Intrinsics, RgbdFrame

CAMERA = Intrinsics(60, 60, 31.5, 23.5, 64, 48)


def sample(camera: Intrinsics = CAMERA, *, ignore_objects: bool = False) -> Sample:
    shape = (camera.height, camera.width)
    labels = np.zeros(shape, np.uint16)
    labels[10:20, 10:20] = 300
    depth_m = np.linspace(0.5, 1.5, labels.size, dtype=np.float32).reshape(shape)
    frame = RgbdFrame(np.full((*shape, 3), 100, np.uint8), depth_m, camera)
    ignore = (labels > 0) if ignore_objects else np.zeros(shape, np.bool_)
    return Sample("a/b", frame, labels, ignore, "train")


def test_figures_of_a_frame() -> None:
    check = check_frame(sample())
    assert (check.name, check.split, check.ids, check.warnings) == ("a/b", "train", [300], [])
    assert check.near_m == pytest.approx(0.51, abs=1e-3)
    assert check.median_m == pytest.approx(1.0, abs=1e-3)
    assert check.far_m == pytest.approx(1.49, abs=1e-3)
    assert check.valid_share == 1 and check.ignored_share == 0


@pytest.mark.parametrize(
    ("camera", "warning"),
    [
        (Intrinsics(600, 600, 31.5, 23.5, 64, 48), "the camera sees 6 deg"),
        (Intrinsics(6, 6, 31.5, 23.5, 64, 48), "the camera sees 159 deg"),
        (Intrinsics(60, 60, 320, 23.5, 64, 48), "the principal point (320, 23.5) is outside"),
        (Intrinsics(60, 45, 31.5, 23.5, 64, 48), "focal lengths 60 and 45 differ much"),
    ],
)
def test_implausible_cameras_are_warnings(camera: Intrinsics, warning: str) -> None:
    (found,) = check_frame(sample(camera)).warnings
    assert found.startswith(warning)


def test_labels_on_ignored_pixels_are_a_warning() -> None:
    assert check_frame(sample(ignore_objects=True)).warnings == ["ignored pixels have labels"]


def test_tiles_of_all_samples_are_of_one_width() -> None:
    wide = Intrinsics(60, 60, 31.5, 17.5, 64, 36)
    tiles = [draw_tile(sample(camera)) for camera in (CAMERA, wide)]
    assert [tile.shape for tile in tiles] == [(260, 640, 3), (200, 640, 3)]
