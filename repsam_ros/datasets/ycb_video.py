"""YCB-Video: 92 videos of 21 objects of the YCB set (Y. Xiang et al., "PoseCNN", RSS 2018).

``data/VVVV/FFFFFF-{color,depth,label}.png`` and ``-meta.mat``, 640x480. Depth is uint16 in steps
of a metre over ``factor_depth`` (10000); the camera matrix is read from each meta file, since
videos 0060 to 0091 were taken with another camera. A label is the class, 1 to 21, and each
object is there once, so that it is the instance as well. ``image_sets/{train,val,keyframe}.txt``
list frames as ``VVVV/FFFFFF``; results are reported on ``keyframe``, a part of ``val``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repsam_ros.datasets import LazyDataset, Sample
from repsam_ros.datasets._files import read_text
from repsam_ros.datasets._layout import camera_of_matrix, read_images
from repsam_ros.datasets._mat import read_depth_scale, read_mat
from repsam_ros.errors import DatasetError
from repsam_ros.structures import RgbdFrame

SPLITS = ("train", "val", "keyframe")
OFFICIAL_COUNTS = {"keyframe": 2949}
_NAME = re.compile(r"\d{4}/\d{6}")


@dataclass(frozen=True)
class Config:
    """Where the data set lies: the folder with ``data`` and ``image_sets``."""

    root: Path
    split: str | None = None


def build(config: Config) -> LazyDataset:
    """The frames that the split's file lists; without a split each frame once.

    Raises:
        DatasetError: ``data`` or a list is missing, or a list is not of frames.
    """
    folder = config.root / "data"
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    # Without a split a keyframe is called one, though val lists it too.
    split_of = {
        name: split
        for split in (SPLITS if config.split is None else (config.split,))
        for name in _listed(config.root / "image_sets" / f"{split}.txt")
    }
    names = sorted(split_of)

    def read(index: int) -> Sample:
        name = names[index]
        return _read(folder, name, split_of[name])

    return LazyDataset(names, read)


def _read(folder: Path, name: str, split: str) -> Sample:
    rgb, depth, label = (folder / f"{name}-{kind}.png" for kind in ("color", "depth", "label"))
    meta = folder / f"{name}-meta.mat"
    factor, matrix = read_mat(meta, "factor_depth", "intrinsic_matrix")
    color, depth_m, ids = read_images(rgb, depth, label, read_depth_scale(meta, factor))
    camera = camera_of_matrix(matrix, meta, ids.shape)
    ignore = np.zeros(ids.shape, np.bool_)
    frame, video = RgbdFrame(color, depth_m, camera), name.split("/")[0]
    return Sample(name, frame, ids, ignore, split, scene=video)


def _listed(path: Path) -> list[str]:
    names = read_text(path).split()
    strays = [name for name in names if not _NAME.fullmatch(name)]
    if strays or not names:
        found = f"got {strays[0]!r}" if strays else "got none"
        raise DatasetError(f"{path}: expected frames such as 0048/000001, {found}")
    return names
