"""GraspNet-1Billion: 190 scenes seen by two cameras from 256 places each (graspnet.net).

``scenes/scene_NNNN/CAMERA/{rgb,depth,label}/VVVV.png`` and ``meta/VVVV.mat``, 1280x720. Depth is
uint16 in steps of a metre over ``factor_depth`` of the meta file; ``camK.npy`` beside the folders
holds the camera matrix. Ids are 0 = background, else the number of the object plus 1 (1 to 88).
The scene number makes the split.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repsam_ros.datasets import LazyDataset, Sample
from repsam_ros.datasets._files import read_array
from repsam_ros.datasets._layout import camera_of_matrix, natural, read_images
from repsam_ros.datasets._mat import read_depth_scale, read_mat
from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.images import find_files
from repsam_ros.structures import RgbdFrame

CAMERAS = ("realsense", "kinect")
_SCENES = {
    "train": range(100),
    "test_seen": range(100, 130),
    "test_similar": range(130, 160),
    "test_novel": range(160, 190),
}
_VIEWS_PER_SCENE = 256
SPLITS = tuple(_SCENES)
OFFICIAL_COUNTS = {split: len(scenes) * _VIEWS_PER_SCENE for split, scenes in _SCENES.items()}


@dataclass(frozen=True)
class Config:
    """Where the data set lies and which camera's frames are read.

    Attributes:
        camera: ``realsense`` (D435) or ``kinect`` (Azure Kinect).

    Raises:
        ConfigError: No such camera.
    """

    root: Path
    split: str | None = None
    camera: str = CAMERAS[0]

    def __post_init__(self) -> None:
        if self.camera not in CAMERAS:
            raise ConfigError(
                f"unknown camera {self.camera!r} of graspnet; there are: {', '.join(CAMERAS)}"
            )


def build(config: Config) -> LazyDataset:
    """The views of the scenes that are there.

    Raises:
        DatasetError: No scene of the split is there, or a scene lacks the camera.
    """
    folder = config.root / "scenes"
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    splits = SPLITS if config.split is None else (config.split,)
    split_of = {f"scene_{k:04d}": split for split in splits for k in _SCENES[split]}
    colors = {
        f"{scene}/{stem}": path
        for scene in split_of
        if (folder / scene).is_dir()
        for stem, path in find_files(folder / scene / config.camera / "rgb").items()
    }
    if not colors:
        raise DatasetError(f"{folder}: no images of {', '.join(splits)} by {config.camera}")
    names = sorted(colors, key=natural)

    def read(index: int) -> Sample:
        name = names[index]
        return _read(name, colors[name], split_of)

    return LazyDataset(names, read)


def _read(name: str, rgb: Path, split_of: dict[str, str]) -> Sample:
    scene, place = name.split("/")[0], rgb.parents[1]
    depth, label = (place / kind / f"{rgb.stem}.png" for kind in ("depth", "label"))
    meta = place / "meta" / f"{rgb.stem}.mat"
    (factor,) = read_mat(meta, "factor_depth")
    color, depth_m, ids = read_images(rgb, depth, label, read_depth_scale(meta, factor))
    matrix = place / "camK.npy"
    camera = camera_of_matrix(read_array(matrix), matrix, ids.shape)
    ignore = np.zeros(ids.shape, np.bool_)
    frame = RgbdFrame(color, depth_m, camera)
    return Sample(name, frame, ids, ignore, split_of[scene], scene=scene)
