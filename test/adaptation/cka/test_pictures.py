"""Which pictures CKA is measured on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from repsam_ros.adaptation.cka.configuration import DatasetPictures, PictureSettings
from repsam_ros.adaptation.cka.pictures import open_pictures
from repsam_ros.errors import DatasetError
from repsam_ros.images import write_png

SIZE = (24, 32)


def write_sequences(root: Path, frames: int) -> None:
    """Two OCID sequences: the first dark, the second bright."""
    for sequence, shade in (("ARID20/floor/top/seq01", 10), ("ARID20/table/top/seq01", 200)):
        for k in range(frames):
            folder, name = root / sequence, f"result_2018-08-20-10-00-{k:02d}.png"
            write_png(folder / "rgb" / name, np.full((*SIZE, 3), shade + k, np.uint8))
            write_png(folder / "depth" / name, np.full(SIZE, 900, np.uint16))
            write_png(folder / "label" / name, np.full(SIZE, 3, np.uint16))


def pictures_of(root: Path, images_per_scene: int) -> PictureSettings:
    chosen = DatasetPictures("ocid", str(root), images_per_scene=images_per_scene)
    return PictureSettings(dataset=chosen)


@pytest.mark.parametrize("images", [1, 2])
def test_frames_of_one_sequence_are_one_scene(tmp_path: Path, images: int) -> None:
    write_sequences(tmp_path, 3)
    pictures = open_pictures(pictures_of(tmp_path, images), (240, 320), 20, 0)
    assert pictures.scenes == 2
    for number in range(2):
        shades = [int(frame.color.max()) for frame in pictures.frames(number)]
        assert len(set(shades)) == images
        assert all(shade < 100 for shade in shades) or all(shade > 100 for shade in shades)


def test_scenes_with_too_few_images_are_said_to_be_missing(tmp_path: Path) -> None:
    write_sequences(tmp_path, 3)
    with pytest.raises(DatasetError, match="no scene has 4 images"):
        open_pictures(pictures_of(tmp_path, 4), (240, 320), 20, 0)
