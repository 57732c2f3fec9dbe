"""RGB-D frames from colour, depth and intrinsics files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from repsam_ros.array_files import read_arrays
from repsam_ros.errors import ConfigError, DatasetError, FrameError
from repsam_ros.images import IMAGE_SUFFIXES, find_files, read_color, read_depth
from repsam_ros.structures import FARTHEST_MEDIAN_M, Intrinsics, RgbdFrame

DEPTH_SCALE_M = 0.001  # REP-118: 16-bit depth is in millimetres
_ARRAY_SUFFIXES = (".npy", ".npz")
_FLAT_KEYS = ("fx", "fy", "cx", "cy", "width", "height")
_SCALE_KEY = "depth_scale_m"
_NAMES_IN_ERRORS = 3


@dataclass(frozen=True)
class FrameFiles:
    """Where the colour and the depth of one frame lie."""

    name: str
    color: Path
    depth: Path


@dataclass(frozen=True)
class Camera:
    """What an intrinsics file says.

    Attributes:
        depth_scale_m: Metres a step of 16-bit depth, None where the file is silent.
        is_distorted: A distortion coefficient is not zero.
    """

    intrinsics: Intrinsics
    depth_scale_m: float | None = None
    is_distorted: bool = False


def find_frames(color: Path, depth: Path) -> list[FrameFiles]:
    """Two files as one frame, or two folders paired by equal stems and sorted by them.

    Raises:
        DatasetError: Something is missing, or a file of a folder has no partner.
    """
    for path in (color, depth):
        if not path.exists():
            raise DatasetError(f"{path}: no such file or folder")
    if color.is_dir() != depth.is_dir():
        raise DatasetError(f"{color} and {depth}: expected two files or two folders")
    if not color.is_dir():
        return [FrameFiles(color.stem, color, depth)]
    colors = find_files(color)
    depths = find_files(depth, IMAGE_SUFFIXES + _ARRAY_SUFFIXES)
    for files, others, folder in ((colors, depths, depth), (depths, colors, color)):
        if lonely := sorted(files.keys() - others.keys()):
            names = ", ".join(files[stem].name for stem in lonely[:_NAMES_IN_ERRORS])
            more = len(lonely) - _NAMES_IN_ERRORS
            rest = f" and {more} more" if more > 0 else ""
            raise DatasetError(f"{folder}: no partner of the same name for {names}{rest}")
    if not colors:
        raise DatasetError(f"{color}: no images")
    return [FrameFiles(stem, colors[stem], depths[stem]) for stem in sorted(colors)]


def read_frame(files: FrameFiles, intrinsics: Intrinsics, depth_scale_m: float) -> RgbdFrame:
    """Reads and checks one frame.

    Raises:
        DatasetError: A file is missing or broken.
        FrameError: ``size_mismatch`` or ``empty_depth``, with the name of the file.
    """
    color = read_color(files.color)
    size = (intrinsics.height, intrinsics.width)
    _check_size(files.color, color.shape[:2], size, "of the intrinsics")
    depth_m = _read_any_depth(files.depth, depth_scale_m)
    _check_size(files.depth, depth_m.shape, size, f"of {files.color.name}")
    if not depth_m.any():
        raise FrameError("empty_depth", f"{files.depth}: no pixel has a valid depth")
    return RgbdFrame(color, depth_m, intrinsics)


def read_camera(path: Path) -> Camera:
    """Intrinsics from JSON or YAML.

    Either ``fx, fy, cx, cy, width, height`` and perhaps ``depth_scale_m``, or a CameraInfo: as
    camera_calibration writes it (``camera_matrix: {data}``, ``image_width``) or as
    ``ros2 topic echo`` prints it (``k`` or ``K``, ``width``).

    Raises:
        ConfigError: The file is missing, or a key is missing, unknown or no number.
        FrameError: ``bad_intrinsics``, with the name of the file.
    """
    content = _read_mapping(path)
    if "camera_matrix" in content or "k" in content or "K" in content:
        return _camera_info(path, content)
    if unknown := sorted(map(str, content.keys() - {*_FLAT_KEYS, _SCALE_KEY})):
        known = ", ".join((*_FLAT_KEYS, _SCALE_KEY))
        raise ConfigError(f"{path}: unknown key {', '.join(unknown)}; known are {known}")
    numbers = {key: _number(path, content, key) for key in _FLAT_KEYS}
    scale_m = _number(path, content, _SCALE_KEY) if _SCALE_KEY in content else None
    if scale_m is not None and not 0 < scale_m < 1:
        raise ConfigError(f"{path}: {_SCALE_KEY} must be between 0 and 1, got {scale_m:g}")
    return Camera(_intrinsics(path, **numbers), scale_m)


def _camera_info(path: Path, content: Mapping[str, Any]) -> Camera:
    key = next(key for key in ("camera_matrix", "k", "K") if key in content)
    matrix = content[key]
    values = matrix.get("data") if isinstance(matrix, dict) else matrix
    try:
        k = np.array(values, np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {key} does not hold numbers") from error
    if k.shape != (9,):
        raise ConfigError(f"{path}: {key} must hold 9 numbers, got {k.size}")
    size = {}
    for side in ("width", "height"):
        found = next((name for name in (f"image_{side}", side) if name in content), side)
        size[side] = _number(path, content, found)
    intrinsics = _intrinsics(path, fx=k[0], fy=k[4], cx=k[2], cy=k[5], **size)
    return Camera(intrinsics, None, _is_distorted(path, content))


def _is_distorted(path: Path, content: Mapping[str, Any]) -> bool:
    found = [content[key] for key in ("distortion_coefficients", "d", "D") if content.get(key)]
    values = found[0] if found else []
    if isinstance(values, dict):
        values = values.get("data", [])
    try:
        return bool(np.any(np.array(values, np.float64)))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: distortion does not hold numbers") from error


def _intrinsics(
    path: Path, *, fx: float, fy: float, cx: float, cy: float, width: float, height: float
) -> Intrinsics:
    if width != int(width) or height != int(height):
        raise ConfigError(f"{path}: width and height must be whole, got {width:g}, {height:g}")
    try:
        return Intrinsics(float(fx), float(fy), float(cx), float(cy), int(width), int(height))
    except FrameError as error:
        raise FrameError(error.cause, f"{path}: {error}") from error


def _read_mapping(path: Path) -> dict[str, Any]:
    is_json = path.suffix.lower() == ".json"
    try:
        text = path.read_text(encoding="utf-8")
        # "ros2 topic echo" ends each message with "---", so the first of several counts.
        parsed = json.loads(text) if is_json else next(yaml.safe_load_all(text), None)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (ValueError, yaml.YAMLError) as error:
        kind = "JSON" if is_json else "YAML"
        raise ConfigError(f"{path}: not valid {kind}: {str(error).splitlines()[0]}") from error
    if not isinstance(parsed, dict):
        raise ConfigError(f"{path}: expected a mapping, got {type(parsed).__name__}")
    return parsed


def _number(path: Path, content: Mapping[str, Any], key: str) -> float:
    if key not in content:
        raise ConfigError(f"{path}: missing key {key}")
    value = content[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise ConfigError(f"{path}: {key} must be a number, got {value!r}")
    return float(value)


def _read_any_depth(path: Path, depth_scale_m: float) -> NDArray[np.float32]:
    if path.suffix.lower() not in _ARRAY_SUFFIXES:
        return read_depth(path, depth_scale_m)
    array = _load_array(path)
    if array.ndim != 2 or array.dtype.kind not in "fu":
        raise DatasetError(
            f"{path}: expected (H, W) float metres or unsigned steps, "
            f"got {array.shape} {array.dtype}"
        )
    depth_m = array.astype(np.float64)
    if array.dtype.kind == "u":
        depth_m *= depth_scale_m
    depth_m[~(np.isfinite(depth_m) & (depth_m > 0))] = 0
    median_m = float(np.median(depth_m[depth_m > 0])) if depth_m.any() else 0.0
    if median_m > FARTHEST_MEDIAN_M:
        raise DatasetError(f"{path}: a median depth of {median_m:.0f} m; expected metres")
    return depth_m.astype(np.float32)


def _load_array(path: Path) -> NDArray[Any]:
    arrays = read_arrays(path)
    if "depth" not in arrays and len(arrays) != 1:
        raise DatasetError(f"{path}: expected an array named depth, got {', '.join(arrays)}")
    return arrays["depth"] if "depth" in arrays else next(iter(arrays.values()))


def _check_size(path: Path, got: tuple[int, ...], wanted: tuple[int, int], whose: str) -> None:
    if tuple(got) != wanted:
        raise FrameError(
            "size_mismatch",
            f"{path}: {got[1]}x{got[0]} pixels, expected {wanted[1]}x{wanted[0]} {whose}",
        )
