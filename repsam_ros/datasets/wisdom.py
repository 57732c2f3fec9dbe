"""WISDOM, depth images of heaps in bins (M. Danielczuk et al., ICRA 2019).

A folder of images (``wisdom-real/high-res``, ``wisdom-real/low-res``, ``wisdom-sim``) has
``modal_segmasks/image_NNNNNN.png`` with 0 = background and 1 to N, ``depth_ims``, perhaps
``color_ims`` and ``depth_ims_numpy`` (or another ``depth*numpy*``), and
``{train,test}_indices.npy``. The root is such a folder or holds several of them.
``segmasks_filled`` (bin against objects) is not read.

Only ``depth_ims_numpy/image_NNNNNN.npy`` is in metres. ``depth_ims`` are 8-bit pictures,
stretched to a range that no file tells: where there is nothing else no pixel of the frame has a
valid depth. Without ``color_ims`` (the simulated part) they are the colour image, as networks
that take depth for colour want it.

The camera is that of a ``*.intr`` file in the folder. Where there is none it is known by the size
of the image: the calibrations that the authors publish with GQ-CNN for the PhoXi and the
PrimeSense, and for simulated images, whose focal length was drawn anew for each between 535 and
560 px, the middle of that range.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repsam_ros.datasets import LazyDataset, Sample
from repsam_ros.datasets._files import read_array, read_json, require_size, valid_depth
from repsam_ros.datasets._layout import folders_below
from repsam_ros.errors import DatasetError, FrameError
from repsam_ros.images import read_color, read_labels
from repsam_ros.structures import Intrinsics, RgbdFrame

SPLITS = ("train", "test")
_PHOXI = Intrinsics(fx=552.5, fy=552.5, cx=255.5, cy=191.75, width=516, height=386)
_CAMERAS = (
    _PHOXI,
    _PHOXI.scaled(2, 2, 1032, 772),
    Intrinsics(fx=525.0, fy=525.0, cx=319.5, cy=239.5, width=640, height=480),
    Intrinsics(fx=547.5, fy=547.5, cx=255.5, cy=191.5, width=512, height=384),
)


@dataclass(frozen=True)
class Config:
    """Where the data set lies: a folder of images or one with several of them."""

    root: Path
    split: str | None = None


def build(config: Config) -> LazyDataset:
    """The images of the split, or of all splits that have an index file.

    Raises:
        DatasetError: No folder of images, no index file, or an index file is broken.
    """
    folders = list(folders_below(config.root, lambda folder: (folder / "modal_segmasks").is_dir()))
    if not folders:
        raise DatasetError(f"{config.root}: no modal_segmasks/ here or in a folder below")
    images = [
        (folder, f"image_{index:06d}", split)
        for folder in folders
        for split in _splits(folder, config.split)
        for index in _indices(folder / f"{split}_indices.npy")
    ]
    places = [folder.relative_to(config.root) / stem for folder, stem, _ in images]
    names = [place.as_posix() for place in places]
    return LazyDataset(names, lambda index: _read(names[index], *images[index]))


def _read(name: str, folder: Path, stem: str, split: str) -> Sample:
    color_path = _picture(folder) / f"{stem}.png"
    label_path = folder / "modal_segmasks" / f"{stem}.png"
    color = read_color(color_path)
    labels = read_labels(label_path)
    require_size(label_path, labels, color.shape)
    depth_m = np.zeros(labels.shape, np.float32)
    for metric in sorted(folder.glob("depth*numpy*"))[:1]:
        depth_m = _metric_depth(metric / f"{stem}.npy", labels.shape)
    frame = RgbdFrame(color, depth_m, _camera(folder, labels.shape))
    return Sample(name, frame, labels, np.zeros(labels.shape, np.bool_), split)


def _metric_depth(path: Path, size: tuple[int, ...]) -> NDArray[np.float32]:
    depth = read_array(path)
    if depth.ndim == 3 and depth.shape[2] == 1:
        depth = depth[..., 0]
    if depth.ndim != 2 or depth.dtype.kind != "f":
        raise DatasetError(f"{path}: expected (H, W) float metres, got {depth.shape} {depth.dtype}")
    require_size(path, depth, size)
    return valid_depth(depth)


def _camera(folder: Path, size: tuple[int, ...]) -> Intrinsics:
    height, width = size
    for path in sorted(folder.glob("*.intr")):
        content = read_json(path)
        try:
            fx, fy, cx, cy = (float(content[f"_{key}"]) for key in ("fx", "fy", "cx", "cy"))
            stated = (content["_height"], content["_width"])
            camera = Intrinsics(fx, fy, cx, cy, width, height)
        except (KeyError, TypeError, ValueError, FrameError) as error:
            raise DatasetError(f"{path}: not the intrinsics of a camera") from error
        if stated != (height, width):
            raise DatasetError(
                f"{path}: of {stated[1]}x{stated[0]} pixels, but the images have {width}x{height}"
            )
        return camera
    for camera in _CAMERAS:
        if (camera.height, camera.width) == (height, width):
            return camera
    raise DatasetError(f"{folder}: no *.intr file, and no camera has {width}x{height} pixels")


def _picture(folder: Path) -> Path:
    colors = folder / "color_ims"
    return colors if colors.is_dir() else folder / "depth_ims"


def _splits(folder: Path, split: str | None) -> list[str]:
    if split is not None:
        return [split]
    found = [name for name in SPLITS if (folder / f"{name}_indices.npy").is_file()]
    if not found:
        raise DatasetError(f"{folder}: neither train_indices.npy nor test_indices.npy")
    return found


def _indices(path: Path) -> list[int]:
    indices = read_array(path)
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise DatasetError(
            f"{path}: expected a list of image numbers, got {indices.shape} {indices.dtype}"
        )
    return [int(index) for index in indices]
