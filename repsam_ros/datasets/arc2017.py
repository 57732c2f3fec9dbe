"""Suction data of the Amazon Robotics Challenge 2017 (A. Zeng et al., ICRA 2018).

``{color,depth}-input/NAME.png``, ``label/NAME.png``, ``camera-intrinsics/NAME.txt`` (the 3x3
matrix of that image) and ``{train,test}-split.txt``, one NAME a line; depth is uint16 in steps
of 0.1 mm. ``{color,depth}-background`` show the empty bin and are not read.

Labels are affordances, not instances: 128 where a suction cup would hold, 0 where it would not,
255 where nobody judged. The held places of all objects together are the one instance 1, and what
nobody judged is ignored; scores of instances mean nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repsam_ros.datasets import LazyDataset, Sample
from repsam_ros.datasets._files import read_text
from repsam_ros.datasets._layout import camera_of_matrix, read_images
from repsam_ros.errors import DatasetError
from repsam_ros.structures import RgbdFrame

SPLITS = ("train", "test")
NO_INSTANCES = "its labels are places to hold, not instances"
_DEPTH_SCALE_M = 0.0001
_NEGATIVE, _POSITIVE, _NEUTRAL = 0, 128, 255


@dataclass(frozen=True)
class Config:
    """Where the data set lies: the folder with the two lists."""

    root: Path
    split: str | None = None


def build(config: Config) -> LazyDataset:
    """The images that the lists name, in the order of the lists.

    Raises:
        DatasetError: A folder or a list is missing, or a list names nothing.
    """
    for kind in ("color-input", "depth-input", "label", "camera-intrinsics"):
        if not (config.root / kind).is_dir():
            raise DatasetError(f"{config.root / kind}: no such folder")
    images = [
        (name, split)
        for split in (SPLITS if config.split is None else (config.split,))
        for name in _listed(config.root / f"{split}-split.txt")
    ]
    names = [name for name, _ in images]
    return LazyDataset(names, lambda index: _read(config.root, *images[index]))


def _read(root: Path, name: str, split: str) -> Sample:
    color, depth, label = (
        root / kind / f"{name}.png" for kind in ("color-input", "depth-input", "label")
    )
    pixels, depth_m, affordance = read_images(color, depth, label, _DEPTH_SCALE_M)
    strays = np.setdiff1d(affordance, (_NEGATIVE, _POSITIVE, _NEUTRAL))
    if strays.size:
        raise DatasetError(f"{label}: expected labels 0, 128 and 255, got {strays[0]}")
    matrix_path = root / "camera-intrinsics" / f"{name}.txt"
    camera = camera_of_matrix(_read_matrix(matrix_path), matrix_path, affordance.shape)
    labels = (affordance == _POSITIVE).astype(np.uint16)
    frame = RgbdFrame(pixels, depth_m, camera)
    return Sample(name, frame, labels, affordance == _NEUTRAL, split)


def _read_matrix(path: Path) -> NDArray[np.float64]:
    words = read_text(path).split()
    try:
        return np.array(words, np.float64).reshape(3, 3)
    except ValueError as error:
        raise DatasetError(f"{path}: expected the 9 numbers of a camera matrix") from error


def _listed(path: Path) -> list[str]:
    names = read_text(path).split()
    if not names:
        raise DatasetError(f"{path}: names no image")
    return names
