"""Modified Object Segmentation Database (mOSD): Kinect frames of objects on a table.

``rgb/NAME.png``, ``depth/NAME.png`` (uint16 millimetres) and ``label/NAME.png`` (uint16), any
names. Label ids are the raw ones of the data set (PointCloudLibrary/data, segmentation/mOSD):
0 has no depth and no truth, 1-9 are parts of the table, 20 and more are parts of objects,
ten ids an object, because an occluder can cut one object into pieces.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repsam_ros.datasets import LazyDataset, Sample
from repsam_ros.errors import DatasetError
from repsam_ros.images import find_files, read_color, read_depth, read_labels
from repsam_ros.structures import Intrinsics, RgbdFrame

CAMERA = Intrinsics(fx=525.0, fy=525.0, cx=319.5, cy=239.5, width=640, height=480)
_VOID_ID = 0
_FIRST_OBJECT_ID = 20
_IDS_PER_OBJECT = 10
_FOLDERS = ("rgb", "depth", "label")


SPLITS = ("test",)


@dataclass(frozen=True)
class Config:
    """Where the data set lies; every frame is a test frame."""

    root: Path
    split: str | None = None


class Mosd(LazyDataset):
    """The frames under ``root``, in natural order of their names (``learn2`` before ``learn10``).

    Raises:
        DatasetError: A folder is missing or empty, or a frame lacks one of its three images.
    """

    def __init__(self, root: Path) -> None:
        self._files = {folder: find_files(root / folder) for folder in _FOLDERS}
        every = set().union(*self._files.values())
        if not every:
            raise DatasetError(f"{root}: no images in rgb/, depth/ and label/")
        for folder, files in self._files.items():
            if missing := sorted(every - files.keys(), key=_natural):
                raise DatasetError(f"{root / folder}: no image named {_shortened(missing)}")
        super().__init__(sorted(every, key=_natural), self._sample)

    def _sample(self, index: int) -> Sample:
        name = self._names[index]
        paths = {folder: files[name] for folder, files in self._files.items()}
        color = read_color(paths["rgb"])
        depth_m = read_depth(paths["depth"])
        ids = read_labels(paths["label"])
        size = color.shape[:2]
        for path, image in ((paths["depth"], depth_m), (paths["label"], ids)):
            if image.shape != size:
                raise DatasetError(
                    f"{path}: expected {size[1]}x{size[0]} pixels like {paths['rgb'].name} "
                    f"in rgb/, got {image.shape[1]}x{image.shape[0]}"
                )
        frame = RgbdFrame(color, depth_m, _camera_of_size(paths["rgb"], *size))
        objects = np.where(ids >= _FIRST_OBJECT_ID, ids // _IDS_PER_OBJECT, 0)
        return Sample(name, frame, objects.astype(np.uint16), ids == _VOID_ID)


def build(config: Config) -> Mosd:
    return Mosd(config.root)


def _camera_of_size(path: Path, height: int, width: int) -> Intrinsics:
    scale = width / CAMERA.width
    if round(CAMERA.height * scale) != height:
        raise DatasetError(f"{path}: {width}x{height} pixels are not of a 4:3 Kinect image")
    return CAMERA.scaled(scale, scale, width, height)


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]


def _shortened(names: list[str], count: int = 3) -> str:
    rest = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + rest
