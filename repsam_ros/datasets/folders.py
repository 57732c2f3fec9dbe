"""Frames of one's own: colour, depth and label maps in folders, beside the camera's intrinsics.

``color/NAME.png``, ``depth/NAME.png`` (or ``.npy``) and ``labels/NAME.png``, any names that are
equal, and ``intrinsics.json`` or ``intrinsics.yaml``: what ``repsam segment`` reads, with label
maps as it writes them. In these 0 is background, 65535 is not known and ignored, and each other id
is an object. A folder that has no ``color/`` may hold several such folders, each of them a scene.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repsam_ros.datasets import LazyDataset, Sample
from repsam_ros.datasets._files import require_size
from repsam_ros.datasets._layout import folders_below, natural
from repsam_ros.errors import DatasetError, shortened
from repsam_ros.frame_files import DEPTH_SCALE_M, Camera, FrameFiles, find_frames, read_camera
from repsam_ros.frame_files import read_frame as read_rgbd
from repsam_ros.images import find_files, read_labels
from repsam_ros.structures import UNKNOWN_LABEL

SPLITS = ("test",)
_INTRINSICS = ("intrinsics.json", "intrinsics.yaml")


@dataclass(frozen=True)
class Config:
    """Where the frames lie; every frame is a test frame."""

    root: Path
    split: str | None = None


@dataclass(frozen=True)
class _Labelled:
    """One frame's files.

    Attributes:
        scene: Folder below the root, "" for the root itself.
    """

    files: FrameFiles
    labels: Path
    camera: Camera
    scene: str


def build(config: Config) -> LazyDataset:
    """All frames, in natural order of their names.

    Raises:
        DatasetError: A folder or a frame's partner is missing, or the lens distorts.
        ConfigError, FrameError: The intrinsics cannot be used.
    """
    frames: dict[str, _Labelled] = {}
    for folder in folders_below(config.root, lambda path: (path / "color").is_dir()):
        scene = "" if folder == config.root else folder.relative_to(config.root).as_posix()
        for frame in _in_folder(folder, scene):
            frames[f"{scene}/{frame.files.name}" if scene else frame.files.name] = frame
    if not frames:
        raise DatasetError(f"{config.root}: no folder with color/, depth/ and labels/")
    names = sorted(frames, key=natural)
    return LazyDataset(names, lambda index: _sample(names[index], frames[names[index]]))


def _in_folder(folder: Path, scene: str) -> list[_Labelled]:
    camera = _camera(folder)
    frames = find_frames(folder / "color", folder / "depth")
    labels = find_files(folder / "labels")
    names = {frame.name for frame in frames}
    for missing, where in ((names - labels.keys(), "labels"), (labels.keys() - names, "color")):
        if missing:
            first = shortened(sorted(missing, key=natural))
            raise DatasetError(f"{folder / where}: no image named {first}")
    return [_Labelled(frame, labels[frame.name], camera, scene) for frame in frames]


def _camera(folder: Path) -> Camera:
    paths = [folder / name for name in _INTRINSICS]
    found = [path for path in paths if path.is_file()]
    if len(found) != 1:
        what = "both" if found else "neither"
        raise DatasetError(f"{folder}: expected one of {' and '.join(_INTRINSICS)}, got {what}")
    camera = read_camera(found[0])
    if camera.is_distorted:
        raise DatasetError(
            f"{found[0]}: lens distortion is not undone: give rectified images and their intrinsics"
        )
    return camera


def _sample(name: str, given: _Labelled) -> Sample:
    scale_m = given.camera.depth_scale_m
    frame = read_rgbd(
        given.files, given.camera.intrinsics, DEPTH_SCALE_M if scale_m is None else scale_m
    )
    ids = read_labels(given.labels)
    require_size(given.labels, ids, frame.depth_m.shape)
    ignore = ids == UNKNOWN_LABEL
    return Sample(
        name, frame, np.where(ignore, 0, ids).astype(np.uint16), ignore, scene=given.scene
    )
