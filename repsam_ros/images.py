"""Reading and writing of image files, with errors that name the file."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import DatasetError
from repsam_ros.paths import atomic_path

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_JPEG_TRAILER_BYTES = 1024


def find_files(folder: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES) -> dict[str, Path]:
    """The files with one of ``suffixes`` in ``folder``, by stem.

    Raises:
        DatasetError: The folder is missing or two files share a stem.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    wanted = tuple(suffixes)
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in wanted or path.name.startswith("."):
            continue
        if path.stem in files:
            raise DatasetError(f"{folder}: {files[path.stem].name} and {path.name} share a name")
        files[path.stem] = path
    return files


def read_color(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB.

    Raises:
        DatasetError: The file is missing, broken or not an image.
    """
    image = _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return np.ascontiguousarray(image[..., ::-1]).astype(np.uint8, copy=False)


def read_depth(path: Path, scale_m: float = 0.001) -> NDArray[np.float32]:
    """(H, W) float32 metres, 0 = invalid, from a 16-bit image of ``scale_m`` metres a step.

    Raises:
        DatasetError: The file is missing, broken or not a 16-bit image of one channel.
    """
    steps = _decode(path, cv2.IMREAD_UNCHANGED)
    if steps.dtype != np.uint16 or steps.ndim != 2:
        raise DatasetError(f"{path}: expected 16-bit depth of one channel, got {_describe(steps)}")
    depth_m: NDArray[np.float32] = (steps * np.float64(scale_m)).astype(np.float32)
    return depth_m


def read_labels(path: Path) -> NDArray[np.uint16]:
    """(H, W) uint16 ids from an 8- or 16-bit image of one channel.

    Raises:
        DatasetError: The file is missing, broken or not a label map.
    """
    ids = _decode(path, cv2.IMREAD_UNCHANGED)
    if ids.dtype not in (np.uint8, np.uint16) or ids.ndim != 2:
        raise DatasetError(f"{path}: expected a label map of one channel, got {_describe(ids)}")
    return ids.astype(np.uint16)


def write_png(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Writes (H, W) or RGB (H, W, 3) atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(encode_png(image))


def encode_png(image: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """The PNG file of (H, W) or RGB (H, W, 3)."""
    pixels = image[..., ::-1] if image.ndim == 3 else image
    done, data = cv2.imencode(".png", np.ascontiguousarray(pixels))
    if not done:
        raise ValueError(f"cannot encode {_describe(image)} as PNG")
    return bytes(data.tobytes())


def write_jpeg(path: Path, image: NDArray[np.uint8]) -> None:
    """Writes RGB (H, W, 3) atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(encode_jpeg(image))


def encode_jpeg(image: NDArray[np.uint8], quality: int = 85) -> bytes:
    """The JPEG file of RGB (H, W, 3)."""
    bgr = np.ascontiguousarray(image[..., ::-1])
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"cannot encode {_describe(image)} as JPEG")
    return bytes(data.tobytes())


def _decode(path: Path, flags: int) -> NDArray[Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from error
    _check_complete(path, data)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise DatasetError(f"{path}: not a readable image")
    return np.asarray(image)


def _check_complete(path: Path, data: bytes) -> None:
    """Finds what decoders differ in: OpenCV may fill up a cut file, or print to stderr."""
    if not data:
        raise DatasetError(f"{path}: empty file")
    if data.startswith(_PNG_SIGNATURE):
        _check_png(path, data)
    elif data.startswith(_JPEG_START) and _JPEG_END not in data[-_JPEG_TRAILER_BYTES:]:
        raise DatasetError(f"{path}: truncated JPEG")


def _check_png(path: Path, data: bytes) -> None:
    offset = len(_PNG_SIGNATURE)
    while offset + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        end = offset + 12 + length
        if end > len(data):
            break
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(data[offset + 4 : end - 4]) != checksum:
            raise DatasetError(f"{path}: corrupt PNG, wrong checksum at byte {offset}")
        if kind == b"IEND":
            return
        offset = end
    raise DatasetError(f"{path}: truncated PNG")


def _describe(image: NDArray[Any]) -> str:
    return f"{'x'.join(map(str, image.shape))} {image.dtype}"
