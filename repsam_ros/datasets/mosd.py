"""Modified Object Segmentation Database (mOSD): Kinect frames of objects on a table.

``rgb/NAME.png``, ``depth/NAME.png`` (uint16 millimetres) and ``label/NAME.png`` (uint16), any
names. Label ids are the raw ones of the data set (PointCloudLibrary/data, segmentation/mOSD):
0 has no depth and no truth, 1-9 are parts of the table, 20 and more are parts of objects,
ten ids an object, because an occluder can cut one object into pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repsam_ros.datasets import LazyDataset, Sample
from repsam_ros.datasets._layout import camera_of_size, natural, read_images
from repsam_ros.errors import DatasetError, shortened
from repsam_ros.images import find_files
from repsam_ros.structures import Intrinsics, RgbdFrame

SPLITS = ("test",)
CAMERA = Intrinsics(fx=525.0, fy=525.0, cx=319.5, cy=239.5, width=640, height=480)
_VOID_ID = 0
_FIRST_OBJECT_ID = 20
_IDS_PER_OBJECT = 10
_FOLDERS = ("rgb", "depth", "label")


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
            if missing := sorted(every - files.keys(), key=natural):
                raise DatasetError(f"{root / folder}: no image named {shortened(missing)}")
        super().__init__(sorted(every, key=natural), self._sample)

    def _sample(self, index: int) -> Sample:
        name = self._names[index]
        rgb, depth, label = (self._files[folder][name] for folder in _FOLDERS)
        color, depth_m, ids = read_images(rgb, depth, label)
        frame = RgbdFrame(color, depth_m, camera_of_size(CAMERA, rgb, ids.shape))
        objects = np.where(ids >= _FIRST_OBJECT_ID, ids // _IDS_PER_OBJECT, 0)
        return Sample(name, frame, objects.astype(np.uint16), ids == _VOID_ID)


def build(config: Config) -> Mosd:
    return Mosd(config.root)
