"""Object Segmentation Database (OSD 0.2): Kinect frames of objects on a table, TU Wien.

``image_color/NAME.png``, ``disparity/NAME.png`` (uint16, in truth millimetres of depth) and
``annotation/NAME.png`` (0 = table and all else, then one id an object). Names are ``learn0`` to
``learn44`` and ``test0`` to ``test65``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repsam_ros.datasets import LazyDataset, Sample
from repsam_ros.datasets._layout import camera_of_size, natural, read_images
from repsam_ros.errors import DatasetError
from repsam_ros.images import find_files
from repsam_ros.structures import Intrinsics, RgbdFrame

SPLITS = ("learn", "test")
OFFICIAL_COUNTS = {"learn": 45, "test": 66}
CAMERA = Intrinsics(fx=525.0, fy=525.0, cx=319.5, cy=239.5, width=640, height=480)
_FOLDERS = ("image_color", "disparity", "annotation")


@dataclass(frozen=True)
class Config:
    """Where the data set lies."""

    root: Path
    split: str | None = None


def build(config: Config) -> LazyDataset:
    """The frames of ``image_color``.

    Raises:
        DatasetError: A folder is missing or holds no frame of the split.
    """
    root = config.root
    for folder in _FOLDERS:
        if not (root / folder).is_dir():
            raise DatasetError(f"{root / folder}: no such folder")
    colors = find_files(root / "image_color")
    names = sorted(
        (name for name in colors if config.split in (None, _split_of(name))), key=natural
    )
    if not names:
        which = "" if config.split is None else f" whose name begins with {config.split}"
        raise DatasetError(f"{root / 'image_color'}: no images{which}")

    def read(index: int) -> Sample:
        name = names[index]
        depth, truth = (root / folder / f"{name}.png" for folder in _FOLDERS[1:])
        color, depth_m, ids = read_images(colors[name], depth, truth)
        camera = camera_of_size(CAMERA, colors[name], ids.shape)
        ignore = np.zeros(ids.shape, np.bool_)
        return Sample(name, RgbdFrame(color, depth_m, camera), ids, ignore, _split_of(name))

    return LazyDataset(names, read)


def _split_of(name: str) -> str:
    return "learn" if name.startswith("learn") else "test"
