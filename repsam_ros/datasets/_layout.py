"""What the readers of several formats share: images of one size, cameras, folders, names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repsam_ros.datasets._files import require_size
from repsam_ros.errors import DatasetError, FrameError
from repsam_ros.images import read_color, read_depth, read_labels
from repsam_ros.structures import Intrinsics

_DEEPEST = 3


def read_images(
    color: Path, depth: Path, labels: Path, depth_scale_m: float = 0.001
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint16]]:
    """Colour, depth in metres and raw ids, all of the size of the colour image.

    Raises:
        DatasetError: A file is missing or broken, or the sizes differ.
    """
    pixels, depth_m, ids = read_color(color), read_depth(depth, depth_scale_m), read_labels(labels)
    require_size(depth, depth_m, pixels.shape)
    require_size(labels, ids, pixels.shape)
    return pixels, depth_m, ids


def camera_of_size(camera: Intrinsics, path: Path, size: tuple[int, ...]) -> Intrinsics:
    """``camera`` for an image at ``path`` of (height, width), which may be a smaller copy.

    Raises:
        DatasetError: The image has another aspect ratio than the camera.
    """
    height, width = size
    scale = width / camera.width
    if round(camera.height * scale) != height:
        raise DatasetError(
            f"{path}: {width}x{height} pixels are not of a {camera.width}x{camera.height} camera"
        )
    return camera.scaled(scale, scale, width, height)


def camera_of_matrix(matrix: NDArray[np.float64], path: Path, size: tuple[int, ...]) -> Intrinsics:
    """The camera of (height, width) with the 3x3 ``matrix`` that ``path`` holds.

    Raises:
        DatasetError: The matrix is not that of a pinhole camera.
    """
    if matrix.shape != (3, 3):
        raise DatasetError(f"{path}: expected a 3x3 camera matrix, got {matrix.shape}")
    height, width = size
    fx, fy, cx, cy = (
        float(matrix[row, column]) for row, column in ((0, 0), (1, 1), (0, 2), (1, 2))
    )
    try:
        return Intrinsics(fx, fy, cx, cy, width, height)
    except FrameError as error:
        raise DatasetError(f"{path}: {error}") from error


def folders_below(
    root: Path, holds_frames: Callable[[Path], bool], deeper: int = _DEEPEST
) -> Iterator[Path]:
    """Folders of frames in order, ``root`` or in it; what lies in one of them is not searched."""
    if holds_frames(root):
        yield root
    elif deeper:
        for child in sorted(path for path in root.iterdir() if path.is_dir()):
            yield from folders_below(child, holds_frames, deeper - 1)


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key that puts ``learn2`` before ``learn10``."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]
