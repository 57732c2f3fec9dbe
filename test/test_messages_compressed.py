"""CompressedImage of colour and depth; RVL against an encoder written from its paper."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from repsam_ros import messages
from repsam_ros.errors import FrameError

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))
CAUSES = {"truncated", "undecodable", "unknown_encoding", "empty_image"}
# Runs of zeros, small steps and large ones.
DEPTHS = hnp.arrays(
    np.uint16,
    SIZES,
    elements=st.one_of(st.just(0), st.integers(700, 710), st.integers(0, 65535)),
)


def rvl(pixels: np.ndarray) -> bytes:
    """Runs of zeros and of pixels in turn, pixels as zigzag differences, in nibbles."""
    nibbles: list[int] = []

    def put(value: int) -> None:
        while True:
            value, nibble = value >> 3, value & 7
            nibbles.append(nibble | (8 if value else 0))
            if not value:
                return

    flat = [int(value) for value in pixels.reshape(-1)]
    at, previous = 0, 0
    while at < len(flat):
        start = at
        while at < len(flat) and flat[at] == 0:
            at += 1
        put(at - start)
        start = at
        while at < len(flat) and flat[at] != 0:
            at += 1
        put(at - start)
        for value in flat[start:at]:
            delta = value - previous
            put(2 * delta if delta >= 0 else -2 * delta - 1)
            previous = value
    nibbles += [0] * (-len(nibbles) % 8)
    words = [
        sum(nibble << (28 - 4 * place) for place, nibble in enumerate(nibbles[start : start + 8]))
        for start in range(0, len(nibbles), 8)
    ]
    height, width = pixels.shape
    return struct.pack("<II", width, height) + struct.pack(f"<{len(words)}I", *words)


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def compressed(data: bytes, format_: str) -> SimpleNamespace:
    return SimpleNamespace(format=format_, data=np.frombuffer(data, np.uint8))


def depth_message(pixels: np.ndarray, codec: str, a: float = 0, b: float = 0) -> SimpleNamespace:
    payload = rvl(pixels) if codec == "rvl" else png(pixels)
    kind = "32FC1" if a else "16UC1"
    return compressed(struct.pack("<iff", 1, a, b) + payload, f"{kind}; compressedDepth {codec}")


@given(DEPTHS, st.sampled_from(["png", "rvl"]))
def test_compressed_depth_is_the_same_as_raw_depth(ros, pixels, codec):
    depth_m = messages.depth_from_compressed(depth_message(pixels, codec))
    np.testing.assert_array_equal(depth_m, messages.depth_from_image(ros.image(pixels, "16UC1")))
    scaled_m = messages.depth_from_compressed(depth_message(pixels, codec), scale_m=1e-4)
    np.testing.assert_allclose(scaled_m, pixels * 1e-4, rtol=1e-6)


def test_rvl_of_a_whole_frame_survives_noise_and_holes():
    rng = np.random.default_rng(0)
    pixels = rng.integers(690, 720, (480, 640)).astype(np.uint16)
    pixels[rng.random(pixels.shape) < 0.1] = 0
    pixels[100:200] = 0
    depth_m = messages.depth_from_compressed(depth_message(pixels, "rvl"))
    np.testing.assert_array_equal(np.rint(depth_m * 1000), pixels)


@pytest.mark.parametrize("codec", ["png", "rvl"])
def test_metres_come_back_from_quantised_inverse_depth(codec):
    depth_m = np.array([[0.3, 0.81, 1.7, 9.0]], np.float32)
    step_m, farthest_m = 100.0, 10.0  # as the plug-in's parameters are by default
    a = step_m * (step_m + 1)
    b = 1 - a / farthest_m
    stored = np.append(a / depth_m + b, 0).astype(np.uint16)[None]
    got_m = messages.depth_from_compressed(depth_message(stored, codec, a, b))
    np.testing.assert_allclose(got_m[0, :4], depth_m[0], rtol=2e-3)
    assert got_m[0, 4] == 0


def test_depth_without_a_codec_is_png():
    pixels = np.array([[1234]], np.uint16)
    data = struct.pack("<iff", 1, 0, 0) + png(pixels)
    for format_ in ("16UC1; compressedDepth", "16UC1"):
        depth_m = messages.depth_from_compressed(compressed(data, format_))
        assert depth_m == np.float32(1.234)


@pytest.mark.parametrize("codec", ["png", "rvl"])
def test_truncated_depth_is_a_frame_error_wherever_it_ends(codec):
    pixels = np.full((6, 7), 900, np.uint16)
    pixels[2:4] = np.arange(7) * 977
    msg = depth_message(pixels, codec)
    whole = bytes(msg.data)
    for length in range(len(whole) - (3 if codec == "rvl" else 0)):
        msg.data = np.frombuffer(whole[:length], np.uint8)
        with pytest.raises(FrameError) as error:
            messages.depth_from_compressed(msg)
        assert error.value.cause in CAUSES


@given(
    st.binary(max_size=80),
    st.sampled_from(["16UC1; compressedDepth rvl", "32FC1; compressedDepth rvl", "16UC1; png"]),
    st.integers(0, 12),
)
def test_any_bytes_give_a_picture_or_a_frame_error(data, format_, size):
    header = struct.pack("<iffII", 0, 1, 0, size, size)
    for content in (data, header + data):
        try:
            depth_m = messages.depth_from_compressed(compressed(content, format_))
        except FrameError as error:
            assert error.cause in CAUSES
        else:
            assert np.isfinite(depth_m).all() and (depth_m >= 0).all()


def test_a_size_beyond_reason_is_refused_before_memory_is_taken():
    data = struct.pack("<iffII", 1, 0, 0, 2**31, 2**31) + bytes(8)
    with pytest.raises(FrameError, match="2147483648x2147483648") as error:
        messages.depth_from_compressed(compressed(data, "16UC1; compressedDepth rvl"))
    assert error.value.cause == "undecodable"


@pytest.mark.parametrize(
    "format_", ["8UC1; compressedDepth png", "16UC1; compressedDepth zstd", "h264", ""]
)
def test_unknown_depth_formats_are_named(format_):
    with pytest.raises(FrameError, match="format") as error:
        messages.depth_from_compressed(compressed(bytes(40), format_))
    assert error.value.cause == "unknown_encoding"


COLOR = np.zeros((16, 24, 3), np.uint8)
COLOR[..., 0], COLOR[:, 12:, 1], COLOR[..., 2] = 200, 90, 30


@pytest.mark.parametrize(
    ("suffix", "format_", "swapped"),
    [
        (".png", "rgb8; png compressed bgr8", True),
        (".png", "bgr8; png compressed bgr8", True),
        (".png", "png", True),
        (".png", "rgb8; png compressed rgb8", False),
        (".jpg", "jpeg", True),
        (".jpg", "rgb8; jpeg compressed bgr8", True),
    ],
)
def test_color_is_rgb_whatever_order_it_was_stored_in(suffix, format_, swapped):
    stored = COLOR[..., ::-1] if swapped else COLOR
    data = cv2.imencode(suffix, np.ascontiguousarray(stored))[1].tobytes()
    for padding in (b"", bytes(5)):
        color = messages.color_from_compressed(compressed(data + padding, format_))
        np.testing.assert_allclose(color.astype(int), COLOR, atol=0 if suffix == ".png" else 25)


def test_grey_is_repeated_in_all_channels():
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6)
    color = messages.color_from_compressed(compressed(png(grey), "mono8; png compressed "))
    np.testing.assert_array_equal(color, np.stack([grey] * 3, axis=-1))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_truncated_or_spoiled_color_is_a_frame_error(suffix):
    whole = cv2.imencode(suffix, COLOR)[1].tobytes()
    for length in range(0, len(whole), 7):
        with pytest.raises(FrameError) as error:
            messages.color_from_compressed(compressed(whole[:length], "jpeg"))
        assert error.value.cause in CAUSES
    with pytest.raises(FrameError, match="'h264'"):
        messages.color_from_compressed(compressed(b"\0\0\0\1gB", "h264"))


def test_pixels_of_a_mask_are_true_where_it_is_not_black(ros):
    pixels = np.array([[0, 1, 255]], np.uint8)
    for encoding in ("mono8", "8UC1"):
        mask = messages.mask_from_image(ros.image(pixels, encoding, padding=3))
        np.testing.assert_array_equal(mask, [[False, True, True]])
    with pytest.raises(FrameError, match="'rgb8'"):
        messages.mask_from_image(ros.image(np.zeros((2, 2, 3), np.uint8), "rgb8"))
