"""CompressedImage as image_transport's plug-ins ``compressed`` and ``compressedDepth`` send it."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import FrameError
from repsam_ros.messages.image import color_from_image, metres_from_floats, metres_from_integers
from repsam_ros.messages.types import CompressedImage, Image

# How images come, and where image_transport publishes compressed ones, below the raw topic.
TRANSPORTS = ("raw", "compressed")
TRANSPORT_SUFFIXES = {"color": "compressed", "depth": "compressedDepth"}

_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
# Plug-in's own number of the format, then the parameters A and B of quantised inverse depth.
_DEPTH_HEADER = struct.Struct("<iff")
_RVL_SIZE = struct.Struct("<II")
_MAX_PIXELS = 1 << 26
_MAX_NIBBLES = 11  # of a 32-bit number, three bits each


def is_compressed(msg: Image | CompressedImage) -> bool:
    """Whether it is a CompressedImage."""
    return hasattr(msg, "format")


def color_from_either(msg: Any) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of an Image or CompressedImage.

    Raises:
        FrameError: As by :func:`color_from_image` and :func:`color_from_compressed`.
    """
    return color_from_compressed(msg) if is_compressed(msg) else color_from_image(msg)


def color_from_compressed(msg: CompressedImage) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a JPEG or PNG.

    Raises:
        FrameError: ``unknown_encoding``, ``truncated`` or ``undecodable``.
    """
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = _decode(_whole(msg, bytes(memoryview(msg.data)), "color"), flags, "color")
    encoding, _, stored = str(msg.format).partition(";")
    # The plug-in stores channels in the order that cv2 expects, and says so, or as they are.
    as_they_are = stored and "compressed bgr" not in stored and encoding[:3] in ("rgb", "bgr")
    if as_they_are and encoding.startswith("rgb"):
        return np.asarray(pixels, np.uint8)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def depth_from_compressed(
    msg: CompressedImage, scale_m: float | None = None
) -> NDArray[np.float32]:
    """(H, W) float32 metres along the optical axis; 0 where nothing was measured.

    ``16UC1`` comes as it is, ``32FC1`` as quantised inverse depth; either as PNG or RVL.

    Args:
        scale_m: See :func:`repsam_ros.messages.depth_from_image`.

    Raises:
        FrameError: ``unknown_encoding``, ``truncated``, ``empty_image`` or ``undecodable``.
    """
    encoding, _, stored = str(msg.format).partition(";")
    codec = stored.split()[-1] if stored.strip() else "png"
    if encoding not in ("16UC1", "mono16", "32FC1") or codec not in (
        "png",
        "rvl",
        "compressedDepth",  # what was before there was a choice
    ):
        raise FrameError(
            "unknown_encoding",
            f"depth image: format {msg.format!r} is not '16UC1; compressedDepth png', nor that"
            " with 32FC1 or rvl",
        )
    data = bytes(memoryview(msg.data))
    if len(data) <= _DEPTH_HEADER.size:
        raise FrameError("truncated", f"depth image: {len(data)} bytes hold no picture")
    _, a, b = _DEPTH_HEADER.unpack_from(data)
    payload = data[_DEPTH_HEADER.size :]
    pixels = _rvl(payload) if codec == "rvl" else _depth_png(msg, payload)
    if encoding != "32FC1":
        return metres_from_integers(pixels, scale_m)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        depth_m = np.float32(a) / (pixels.astype(np.float32) - np.float32(b))
    depth_m[pixels == 0] = 0
    return metres_from_floats(depth_m, scale_m)


def _depth_png(msg: CompressedImage, payload: bytes) -> NDArray[np.uint16]:
    if not payload.startswith(_PNG_START):
        raise FrameError("unknown_encoding", f"depth image: no PNG in format {msg.format!r}")
    pixels = _decode(_whole(msg, payload, "depth"), cv2.IMREAD_UNCHANGED, "depth")
    if pixels.dtype != np.uint16 or pixels.ndim != 2:
        raise FrameError(
            "unknown_encoding",
            f"depth image: PNG of {pixels.dtype} {pixels.shape}, expected 16 bits in one channel",
        )
    return np.asarray(pixels, np.uint16)


def _whole(msg: CompressedImage, data: bytes, what: str) -> NDArray[np.uint8]:
    """The data, known to have its end: cv2 fills what is missing with grey."""
    for start, end in ((_JPEG_START, _JPEG_END), (_PNG_START, _PNG_END)):
        if data.startswith(start):
            # Some drivers pad with zeros.
            if not data.rstrip(b"\0").endswith(end):
                raise FrameError("truncated", f"{what} image: {len(data)} bytes without an end")
            return np.frombuffer(data, np.uint8)
    if not data:
        raise FrameError("truncated", f"{what} image: no data")
    raise FrameError(
        "unknown_encoding", f"{what} image: format {msg.format!r} is neither JPEG nor PNG"
    )


def _decode(data: NDArray[np.uint8], flags: int, what: str) -> NDArray[Any]:
    try:
        pixels: NDArray[Any] | None = cv2.imdecode(data, flags)
    except cv2.error as error:
        raise FrameError("undecodable", f"{what} image: {error}") from error
    if pixels is None:
        raise FrameError("undecodable", f"{what} image: {len(data)} bytes cannot be decoded")
    return pixels


def _rvl(payload: bytes) -> NDArray[np.uint16]:
    """Depth in RVL (Wilson, "Fast Lossless Depth Image Compression", 2017), size first."""
    if len(payload) < _RVL_SIZE.size:
        raise FrameError("truncated", f"depth image: {len(payload)} bytes of RVL hold no size")
    width, height = _RVL_SIZE.unpack_from(payload)
    if not width * height:
        raise FrameError("empty_image", f"depth image: empty size {width}x{height}")
    if width * height > _MAX_PIXELS:
        raise FrameError("undecodable", f"depth image: RVL of {width}x{height} pixels")
    numbers = _rvl_numbers(payload[_RVL_SIZE.size :])
    return _rvl_pixels(numbers, width * height).reshape(height, width)


def _rvl_numbers(data: bytes) -> NDArray[np.int64]:
    """All numbers of a stream: nibbles of three bits, least first, the fourth bit says "more"."""
    words = np.frombuffer(data, "<u4", count=len(data) // 4)
    octets = words.astype(">u4").view(np.uint8)
    nibbles = np.stack((octets >> 4, octets & 15), axis=1).reshape(-1)
    ends = np.flatnonzero(nibbles < 8)
    if not len(ends):
        return np.zeros(0, np.int64)
    nibbles = nibbles[: ends[-1] + 1]
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > _MAX_NIBBLES:
        raise FrameError("undecodable", "depth image: RVL with a number beyond 32 bits")
    place = np.arange(len(nibbles)) - np.repeat(starts, lengths)
    parts = (nibbles & 7).astype(np.int64) << (3 * place)
    return np.add.reduceat(parts, starts)


def _rvl_pixels(numbers: NDArray[np.int64], count: int) -> NDArray[np.uint16]:
    """Runs of zeros and of pixels, in turn; each pixel as its difference to the one before."""
    values = numbers.tolist()
    pixels_at, numbers_at, runs = [], [], []
    pixel = number = 0
    while pixel < count:
        if number + 2 > len(values):
            raise FrameError("truncated", f"depth image: RVL ends at pixel {pixel} of {count}")
        pixel, run, number = pixel + values[number], values[number + 1], number + 2
        if pixel + run > count:
            raise FrameError("undecodable", f"depth image: RVL holds more than {count} pixels")
        if number + run > len(values):
            raise FrameError("truncated", f"depth image: RVL ends at pixel {pixel} of {count}")
        if run:
            pixels_at.append(pixel)
            numbers_at.append(number)
            runs.append(run)
        pixel, number = pixel + run, number + run
    coded = numbers[_inside(numbers_at, runs, len(values))]
    pixels = np.zeros(count, np.uint16)
    differences = (coded >> 1) ^ -(coded & 1)
    pixels[_inside(pixels_at, runs, count)] = (np.cumsum(differences) & 0xFFFF).astype(np.uint16)
    return pixels


def _inside(starts: list[int], runs: list[int], count: int) -> NDArray[np.bool_]:
    """(count,) True in runs that do not overlap."""
    steps = np.zeros(count + 1, np.int8)
    first, length = np.array(starts, np.int64), np.array(runs, np.int64)
    steps[first] += 1
    steps[first + length] -= 1
    return np.cumsum(steps[:-1], dtype=np.int8) > 0
