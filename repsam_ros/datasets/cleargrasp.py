"""ClearGrasp, clear plastic seen by RealSense cameras and rendered (S. Sajjan et al., ICRA 2020).

Real frames lie together in one folder a camera (``real-val/d435``, ``real-test/d415`` ...):
``N-transparent-rgb-img.jpg``, ``N-transparent-depth-img.exr``, ``N-mask.png``, and
``N-opaque-depth-img.exr`` of the same scene with each object replaced by a painted twin, which
is the true depth. ``camera_intrinsics.yaml`` holds the camera. Instances are the connected parts
of the mask, so objects that touch in the image are one; opaque objects have no label
(:mod:`repsam_ros.datasets._partial_labels` says what is ignored for that reason).

Rendered frames (``OBJECT-train``, ``synthetic-val/OBJECT-val``, ``synthetic-test/OBJECT-test``)
lie in ``rgb-imgs``, ``depth-imgs-rectified``, ``segmentation-masks``, ``variant-masks`` and
``json-files``. The values of a variant mask that the JSON lists are the instances, and its field
of view makes the camera. Rendered depth is complete and exact, also on clear plastic, where no
sensor measures it: it is the true depth, and the depth of the frame is without it.

EXR files hold metres as half floats; 0 and NaN are invalid. The root is the data set, one of its
parts or a folder of frames; real frames outside ``real-test`` count as ``real-val``, as those
that the authors publish as a sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from repsam_ros.datasets import LazyDataset, Sample
from repsam_ros.datasets._files import read_json, read_text, require_size, valid_depth
from repsam_ros.datasets._layout import folders_below
from repsam_ros.datasets._partial_labels import unknown_pixels
from repsam_ros.errors import DatasetError, FrameError
from repsam_ros.exr_files import read_exr
from repsam_ros.images import read_color, read_labels
from repsam_ros.structures import Intrinsics, RgbdFrame

SPLITS = ("synthetic-train", "synthetic-val", "synthetic-test", "real-val", "real-test")
PARTLY_LABELLED = True
D435 = Intrinsics(fx=921.0, fy=921.0, cx=642.0, cy=359.0, width=1280, height=720)
_REAL_COLOR = "-transparent-rgb-img.jpg"
_RENDERED = {
    "rgb-imgs": "-rgb.jpg",
    "depth-imgs-rectified": "-depth-rectified.exr",
    "segmentation-masks": "-segmentation-mask.png",
    "variant-masks": "-variantMasks.exr",
    "json-files": "-masks.json",
}


@dataclass(frozen=True)
class Config:
    """Where the data set lies."""

    root: Path
    split: str | None = None


def build(config: Config) -> LazyDataset:
    """The frames of the split, or all, by folder.

    Raises:
        DatasetError: No frames are there, or a folder of rendered ones is incomplete.
    """
    folders = [(folder, _split(folder)) for folder in folders_below(config.root, _holds_frames)]
    frames = [
        (folder, stem, split)
        for folder, split in folders
        if config.split in (None, split)
        for stem in _stems(folder)
    ]
    if not frames:
        which = f" of split {config.split}" if config.split else ""
        raise DatasetError(
            f"{config.root}: no frames{which}, which are N{_REAL_COLOR} or lie in rgb-imgs/"
        )
    names = [(folder.relative_to(config.root) / stem).as_posix() for folder, stem, _ in frames]

    def read(index: int) -> Sample:
        folder, stem, split = frames[index]
        read_frame = _rendered if _is_rendered(folder) else _real
        return read_frame(names[index], folder, stem, split)

    return LazyDataset(names, read)


def _real(name: str, folder: Path, stem: str, split: str) -> Sample:
    color = read_color(folder / f"{stem}{_REAL_COLOR}")
    size = color.shape[:2]
    depth_m = _depth(folder / f"{stem}-transparent-depth-img.exr", size)
    true_depth_m = _depth(folder / f"{stem}-opaque-depth-img.exr", size)
    transparent = _mask(folder / f"{stem}-mask.png", size)
    _, parts = cv2.connectedComponents(transparent.astype(np.uint8))
    labels = parts.astype(np.uint16)
    frame = RgbdFrame(color, depth_m, _real_camera(folder, size))
    return Sample(name, frame, labels, unknown_pixels(labels), split, transparent, true_depth_m)


def _rendered(name: str, folder: Path, stem: str, split: str) -> Sample:
    color_path, depth_path, mask_path, variant_path, json_path = (
        folder / kind / f"{stem}{suffix}" for kind, suffix in _RENDERED.items()
    )
    color = read_color(color_path)
    size = color.shape[:2]
    true_depth_m = _depth(depth_path, size)
    transparent = _mask(mask_path, size)
    variants = read_exr(variant_path)
    require_size(variant_path, variants, size)
    content = read_json(json_path)
    try:
        values = sorted(int(k) for k in content["variants"]["masks_and_poses_by_pixel_value"])
        view = content["camera"]["field_of_view"]
        angles = [float(view[f"{axis}_axis_rads"]) for axis in "xy"]
        camera = _camera_of_view(angles[0], angles[1], size)
    except (KeyError, TypeError, ValueError, FrameError) as error:
        raise DatasetError(f"{json_path}: no variants and field of view") from error
    labels = np.zeros(size, np.uint16)
    for k, value in enumerate(values, 1):
        labels[variants == value] = k
    depth_m = np.where(transparent, np.float32(0), true_depth_m)
    ignore = np.zeros(size, np.bool_)
    frame = RgbdFrame(color, depth_m, camera)
    return Sample(name, frame, labels, ignore, split, transparent, true_depth_m)


def _depth(path: Path, size: tuple[int, ...]) -> NDArray[np.float32]:
    depth_m = valid_depth(read_exr(path))
    require_size(path, depth_m, size)
    return depth_m


def _mask(path: Path, size: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = read_labels(path) > 0
    require_size(path, mask, size)
    return mask


def _real_camera(folder: Path, size: tuple[int, ...]) -> Intrinsics:
    path = folder / "camera_intrinsics.yaml"
    known = folder.absolute().name == "d435" and not path.is_file()
    camera = D435 if known else _read_camera(path)
    if (camera.height, camera.width) != size:
        raise DatasetError(
            f"{path}: of {camera.width}x{camera.height} pixels, "
            f"but the images have {size[1]}x{size[0]}"
        )
    return camera


def _read_camera(path: Path) -> Intrinsics:
    text = read_text(path)
    try:
        content = yaml.safe_load(text)
        fx, fy, cx, cy = (float(content[key]) for key in ("fx", "fy", "cx", "cy"))
        return Intrinsics(fx, fy, cx, cy, int(content["xres"]), int(content["yres"]))
    except (yaml.YAMLError, KeyError, TypeError, ValueError, FrameError) as error:
        raise DatasetError(f"{path}: not the intrinsics of a camera") from error


def _camera_of_view(x_rad: float, y_rad: float, size: tuple[int, ...]) -> Intrinsics:
    height, width = size
    fx, fy = width / 2 / math.tan(x_rad / 2), height / 2 / math.tan(y_rad / 2)
    return Intrinsics(fx, fy, (width - 1) / 2, (height - 1) / 2, width, height)


def _holds_frames(folder: Path) -> bool:
    return _is_rendered(folder) or any(folder.glob(f"*{_REAL_COLOR}"))


def _is_rendered(folder: Path) -> bool:
    return (folder / "rgb-imgs").is_dir()


def _split(folder: Path) -> str:
    place = folder.absolute()
    if not _is_rendered(folder):
        return "real-test" if "real-test" in place.parts else "real-val"
    part = place.name.rpartition("-")[2]
    if f"synthetic-{part}" not in SPLITS:
        raise DatasetError(f"{folder}: expected a name that ends in -train, -val or -test")
    return f"synthetic-{part}"


def _stems(folder: Path) -> list[str]:
    place, suffix = folder, _REAL_COLOR
    if _is_rendered(folder):
        for kind in _RENDERED:
            if not (folder / kind).is_dir():
                raise DatasetError(f"{folder / kind}: no such folder")
        place, suffix = folder / "rgb-imgs", _RENDERED["rgb-imgs"]
    return sorted(path.name[: -len(suffix)] for path in place.glob(f"*{suffix}"))
