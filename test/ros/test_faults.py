"""Broken input mixed into a good stream, over real DDS: counted by cause, good frames survive."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from repsam_ros.evaluation.soak import unaccounted_images

pytestmark = pytest.mark.ros

# A fault spoils the messages of one frame and says what the node has to count.
Messages = dict[str, Any]
Fault = Callable[[random.Random, Any, Messages], dict[str, int]]
PUBLISHED = "published"
GROUP = 8  # faults between two good frames; the node keeps 20 images that wait


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
    msg = messages[rng.choice(["color", "depth", "info"])]
    setattr(msg, rng.choice(["width", "height"]), rng.choice([1, 7, 4096, 2**32 - 1]))
    return {"size_mismatch": 1}


def rename_frame(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    msg = messages[rng.choice(["color", "depth", "info"])]
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
    messages[stream] = rng.randbytes(rng.randrange(200))
    return {f"undecodable_{stream}": 1, f"unmatched_{other}": 1}


def cut_on_the_wire(rng: random.Random, ros: Any, messages: Messages) -> dict[str, int]:
    stream, other = rng.sample(["color", "depth"], 2)
    raw = to_wire(ros, messages[stream])
    messages[stream] = raw[: rng.randrange(len(raw))]
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


# Each with its weight: what is inferred takes a hundred times as long as what is refused.
FAULTS: dict[Fault, float] = {
    **dict.fromkeys(
        (
            *(truncate, shorten_step, rename_encoding, resize, rename_frame, spoil_k),
            *(empty_depth, zero_stamp, drop_partner, part_stamps, send_random_bytes),
            cut_on_the_wire,
        ),
        1.0,
    ),
    **dict.fromkeys((shift_within_slop, lose_info, odd_size), 0.1),
}


PAIRLESS = {zero_stamp, drop_partner, part_stamps, send_random_bytes, cut_on_the_wire}


def _shift(msg: Any, offset_ns: int) -> None:
    total_ns = msg.header.stamp.sec * 1_000_000_000 + msg.header.stamp.nanosec + offset_ns
    msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(total_ns, 1_000_000_000)


def to_wire(ros: Any, msg: Any) -> bytes:
    """Bytes of a message; what is bytes already stays."""
    return (
        msg if isinstance(msg, bytes) else bytes(ros.typestore.serialize_cdr(msg, msg.__msgtype__))
    )


def send(rig: Any, frames: list[Messages]) -> None:
    """The infos of all frames arrive first, so that which pair waits for which is no luck."""
    for streams in (("info",), ("depth", "color")):
        for messages in frames:
            for stream in streams:
                if stream in messages:
                    rig.publish_bytes({stream: to_wire(rig.ros, messages[stream])})
        rig.await_arrival()


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
        group = min(GROUP, count - done)
        frames = []
        faults = rng.choices(list(FAULTS), list(FAULTS.values()), k=group)
        # Where images are missing the others run ahead of the infos: that comes last.
        for fault in sorted(faults, key=PAIRLESS.__contains__):
            messages = rig.messages(rig.next_stamp_ns())
            expected.update(fault(rng, rig.ros, messages))
            frames.append(messages)
        good_ns = rig.next_stamp_ns()
        send(rig, [*frames, rig.messages(good_ns)])
        expected[PUBLISHED] += 1
        np.testing.assert_array_equal(rig.await_labels(good_ns)[1], reference)
        done += group
    rig.await_values(lambda values: counted(values) == expected, f"counts {dict(expected)}")
    assert unaccounted_images(rig.values()) == 0


def run_noise(rig: Any, rng: random.Random, count: int, reference: np.ndarray) -> None:
    """Bytes are changed anywhere: what becomes of such a frame is open, but not that of others."""
    rig.reset()
    for done in range(0, count, GROUP):
        frames = []
        for _ in range(min(GROUP, count - done)):
            messages = rig.messages(rig.next_stamp_ns())
            stream = rng.choice(["color", "depth", "info"])
            messages[stream] = with_changed_bytes(rng, to_wire(rig.ros, messages[stream]))
            frames.append(messages)
        good_ns = rig.next_stamp_ns()
        send(rig, [*frames, rig.messages(good_ns)])
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
    labels: np.ndarray = rig.await_labels(rig.publish_frame())[1]
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
