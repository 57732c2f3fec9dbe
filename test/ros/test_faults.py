"""Broken input mixed into a good stream, over real DDS: counted by cause, good frames survive."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from repsam_ros.evaluation.soak.measures import unaccounted_images

pytestmark = pytest.mark.ros

# A fault spoils the messages of one frame and says what the node has to count.
Messages = dict[str, Any]
Fault = Callable[[random.Random, Any, Messages], dict[str, int]]
PUBLISHED = "published"
GROUP = 10  # faults between two good frames at most; the node keeps 20 images that wait


def truncate(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    image = messages[rng.choice(["color", "depth"])]
    image.data = image.data[: rng.randrange(len(image.data))]
    return {"truncated": 1}


def shorten_step(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    image = messages[rng.choice(["color", "depth"])]
    image.step = rng.randrange(image.step)
    return {"truncated": 1}


def rename_encoding(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    letters = [chr(rng.randrange(32, 0x3000)) for _ in range(rng.randrange(9))]
    messages[rng.choice(["color", "depth"])].encoding = "".join(letters)
    return {"unknown_encoding": 1}


def resize(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    msg = messages[rng.choice(["color", "depth"])]
    setattr(msg, rng.choice(["width", "height"]), rng.choice([1, 7, 4096, 2**32 - 1]))
    return {"size_mismatch": 1}


def resize_info(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    # No larger ones: the focal length would be that of no camera of the size.
    setattr(messages["info"], rng.choice(["width", "height"]), rng.choice([1, 7, 4096]))
    return {"size_mismatch": 1}


def rename_frame(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    return _rename_frame(rng, messages[rng.choice(["color", "depth"])])


def rename_frame_of_info(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    return _rename_frame(rng, messages["info"])


def _rename_frame(rng: random.Random, msg: Any) -> dict[str, int]:
    msg.header.frame_id = rng.choice(["", "/", "map", "x" * 300, "\u00e9\u4e2d"])
    return {"frame_mismatch": 1}


def spoil_k(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    bad = rng.choice([0.0, -1.0, np.nan, np.inf, 1e-30, 1e300])
    messages["info"].k[rng.choice([0, 4])] = bad
    return {"bad_intrinsics": 1}


def empty_depth(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    depth = messages["depth"]
    if rng.random() < 0.5:
        depth.data = np.zeros_like(depth.data)
        return {"empty_depth": 1}
    shape = depth.height, depth.width
    pixels = np.full(shape, rng.choice([np.nan, -np.inf, np.inf, -1.0, 0.0]), np.float32)
    stamp = depth.header.stamp
    messages["depth"] = ros.image(pixels, "32FC1")
    messages["depth"].header.stamp = stamp
    return {"empty_depth": 1}


def zero_stamp(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    stream, other = rng.sample(["color", "depth"], 2)
    messages[stream].header.stamp.sec = rng.choice([0, -1, -(2**31)])
    messages[stream].header.stamp.nanosec = 0
    return {"zero_stamp": 1, f"unmatched_{other}": 1}


def drop_partner(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    stream, other = rng.sample(["color", "depth"], 2)
    del messages[stream]
    return {f"unmatched_{other}": 1}


def part_stamps(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    _shift(messages["depth"], rng.randrange(40_000_000, 200_000_000))
    return {"unmatched_color": 1, "unmatched_depth": 1}


def shift_within_slop(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    _shift(messages["depth"], rng.randrange(30_000_000))
    return {PUBLISHED: 1}


def send_random_bytes(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    stream, other = rng.sample(["color", "depth"], 2)
    messages[stream] = rng.randbytes(rng.randrange(1, 200))
    return {f"undecodable_{stream}": 1, f"unmatched_{other}": 1}


# Never of no bytes at all: Fast DDS hands none of a reliable publisher's messages on after that.
def cut_on_the_wire(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    stream, other = rng.sample(["color", "depth"], 2)
    raw = to_wire(ros, messages[stream])
    messages[stream] = raw[: rng.randrange(1, len(raw))]
    return {f"undecodable_{stream}": 1, f"unmatched_{other}": 1}


def lose_info(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    """The next info serves: a camera's intrinsics do not change."""
    messages["info"] = rng.randbytes(20)
    return {"undecodable_camera_info": 1, PUBLISHED: 1}


def odd_size(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    """A camera may be that small; nothing between decoder and cloud may break on it."""
    width, height = rng.choice([(1, 1), (1, 90), (90, 1), (3, 2)])
    stamps = {stream: msg.header.stamp for stream, msg in messages.items()}
    color = np.full((height, width, 3), rng.randrange(256), np.uint8)
    depth = np.full((height, width), rng.choice([1, 700, 65535]), np.uint16)
    messages["color"], messages["depth"] = ros.image(color, "rgb8"), ros.image(depth, "16UC1")
    messages["info"] = ros.camera_info(width, height, fx=rng.choice([0.02, 1.0, 100.0]) * 90)
    for stream, stamp in stamps.items():
        messages[stream].header.stamp = stamp
    return {PUBLISHED: 1}


IMAGE_FAULTS: tuple[Fault, ...] = (
    *(truncate, shorten_step, rename_encoding, resize, rename_frame, empty_depth, zero_stamp),
    *(drop_partner, part_stamps, shift_within_slop, send_random_bytes, cut_on_the_wire),
)
INFO_FAULTS: tuple[Fault, ...] = (
    *(spoil_k, resize_info, rename_frame_of_info, lose_info, odd_size),
)


def _shift(msg: Any, offset_ns: int) -> None:
    total_ns = msg.header.stamp.sec * 1_000_000_000 + msg.header.stamp.nanosec + offset_ns
    msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(total_ns, 1_000_000_000)


def to_wire(ros: Any, msg: Any) -> bytes:
    """Bytes of a message; what is bytes already stays."""
    return (
        msg if isinstance(msg, bytes) else bytes(ros.typestore.serialize_cdr(msg, msg.__msgtype__))
    )


def next_frame(rig: Any) -> tuple[int, Messages]:
    """Stamp and messages of the rig's scene at half its size.

    A burst then fits into the shared memory of DDS. What does not fit is sent again seconds
    later, and infos would come long after their images.
    """
    stamp_ns = rig.next_stamp_ns()
    whole = rig.messages(stamp_ns)
    color, depth = (
        msg.data.view(dtype).reshape(msg.height, msg.width, -1)[::2, ::2].squeeze()
        for msg, dtype in ((whole["color"], np.uint8), (whole["depth"], np.uint16))
    )
    height, width = depth.shape
    half = {
        "info": rig.ros.camera_info(width, height, fx=whole["info"].k[0] / 2, stamp_ns=stamp_ns),
        "depth": rig.ros.image(depth, "16UC1", stamp_ns=stamp_ns),
        "color": rig.ros.image(color, "rgb8", stamp_ns=stamp_ns),
    }
    return stamp_ns, half


def send(rig: Any, frames: list[Messages]) -> None:
    """In the order of a camera driver, each frame's info first."""
    for messages in frames:
        for stream in ("info", "depth", "color"):
            if stream in messages:
                rig.publish_bytes({stream: to_wire(rig.ros, messages[stream])})


def some_faults(rng: random.Random, most: int) -> list[Fault]:
    """Faults that are sent at once.

    Of a burst the node may take images before their infos and lets the newest info serve. So
    faults of infos come alone, or it would be luck which frame they hit.
    """
    if rng.random() < 0.4:
        return [rng.choice(INFO_FAULTS)]
    return rng.choices(IMAGE_FAULTS, k=min(GROUP, most))


def counted(values: dict[str, str]) -> Counter[str]:
    """Drops by cause and published frames, as diagnostics give them."""
    drops = {name: int(n) for name, n in values.items() if name.startswith("dropped.")}
    result = Counter({name.removeprefix("dropped."): n for name, n in drops.items()})
    result[PUBLISHED] = int(values.get("published", 0))
    return +result


def run_faults(rig: Any, rng: random.Random, count: int, reference: np.ndarray) -> None:
    """``count`` faults in groups, a good frame after each group; everything is counted."""
    rig.reset()
    expected: Counter[str] = Counter()
    done = 0
    while done < count:
        frames = []
        for fault in some_faults(rng, count - done):
            _, messages = next_frame(rig)
            expected.update(fault(rng, rig.ros, messages))
            frames.append(messages)
        good_ns, good = next_frame(rig)
        send(rig, [*frames, good])
        expected[PUBLISHED] += 1
        np.testing.assert_array_equal(rig.await_labels(good_ns)[1], reference)
        done += len(frames)
    rig.await_values(lambda values: counted(values) == expected, f"counts {dict(expected)}")
    assert unaccounted_images(rig.values()) == 0


def run_noise(rig: Any, rng: random.Random, count: int, reference: np.ndarray) -> None:
    """Bytes are changed anywhere: what becomes of such a frame is open, but not that of others."""
    rig.reset()
    for done in range(0, count, GROUP):
        frames = []
        for _ in range(min(GROUP, count - done)):
            _, messages = next_frame(rig)
            stream = rng.choice(["color", "depth", "info"])
            messages[stream] = with_changed_bytes(rng, to_wire(rig.ros, messages[stream]))
            frames.append(messages)
        good_ns, good = next_frame(rig)
        send(rig, [*frames, good])
        np.testing.assert_array_equal(rig.await_labels(good_ns)[1], reference)
    images = 2 * (count + -(-count // GROUP))
    rig.await_values(lambda values: received_images(values) == images, f"{images} images")
    rig.await_idle()
    assert unaccounted_images(rig.values()) == 0, rig.values()


def with_changed_bytes(rng: random.Random, raw: bytes) -> bytes:
    """Up to eight bytes changed, half of them among the fields before the pixels."""
    content = bytearray(raw)
    for _ in range(rng.randrange(1, 9)):
        content[rng.choice([rng.randrange(80), rng.randrange(len(raw))])] = rng.randrange(256)
    return bytes(content)


def received_images(values: dict[str, str]) -> int:
    return sum(int(values.get(f"received_{stream}", 0)) for stream in ("color", "depth"))


def reference_labels(rig: Any) -> np.ndarray:
    """What the node makes of the good frame, before anything bad came."""
    stamp_ns, messages = next_frame(rig)
    rig.publish(messages)
    labels: np.ndarray = rig.await_labels(stamp_ns)[1]
    assert labels.any()
    return labels


def test_every_fault_is_counted_under_its_cause_and_good_frames_survive(
    patient_perception: Any,
) -> None:
    rig = patient_perception
    reference = reference_labels(rig)
    run_faults(rig, random.Random(0), 80, reference)
    run_noise(rig, random.Random(1), 24, reference)


@pytest.mark.slow
def test_ten_thousand_faults(patient_perception: Any) -> None:
    rig = patient_perception
    reference = reference_labels(rig)
    run_faults(rig, random.Random(2), 8000, reference)
    run_noise(rig, random.Random(3), 2000, reference)
