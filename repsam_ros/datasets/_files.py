"""What readers of float depth, text, JSON and NumPy files share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import DatasetError


def valid_depth(depth_m: NDArray[np.floating]) -> NDArray[np.float32]:
    """(H, W) float32 metres with 0 for NaN, infinity and what is not positive.

    Far outliers stay: how far a sensor is trusted is a matter of the pipeline.
    """
    valid = np.isfinite(depth_m) & (depth_m > 0)
    return np.where(valid, depth_m, 0).astype(np.float32)


def require_size(path: Path, image: NDArray[Any], size: tuple[int, ...]) -> None:
    """Checks the (height, width) of the image at ``path`` against that of the colour image.

    Raises:
        DatasetError: They differ.
    """
    if image.shape[:2] != size[:2]:
        height, width = image.shape[:2]
        raise DatasetError(
            f"{path}: expected {size[1]}x{size[0]} pixels like the colour image, "
            f"got {width}x{height}"
        )


def read_text(path: Path) -> str:
    """The content of a text file.

    Raises:
        DatasetError: The file is missing or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not a text file") from error


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DatasetError: The file is missing or no JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except ValueError as error:
        raise DatasetError(f"{path}: not valid JSON") from error


def read_array(path: Path) -> NDArray[Any]:
    """The array of an ``.npy`` file.

    Raises:
        DatasetError: The file is missing or no NumPy file.
    """
    try:
        with path.open("rb") as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error
    except (ValueError, EOFError) as error:
        raise DatasetError(f"{path}: not a readable NumPy file") from error
