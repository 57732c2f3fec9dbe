"""Bytes from the network: whatever comes, it is a message or a counted fault."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repsam_ros.errors import FrameError
from repsam_ros.messages.wire import decode
from repsam_ros.perception.frame import make_frame
from repsam_ros.perception.frame_inbox import FrameInbox

IMAGE, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
HEIGHT, WIDTH = 3, 4


def wire(ros, msg) -> bytes:
    return bytes(ros.typestore.serialize_cdr(msg, msg.__msgtype__))


def test_a_message_comes_back_and_shares_the_memory(ros):
    raw = wire(ros, ros.image(np.arange(12, dtype=np.uint8).reshape(3, 4), "mono8"))
    msg = decode(raw, IMAGE)
    assert (msg.height, msg.width, msg.encoding, msg.header.frame_id) == (
        *(3, 4, "mono8"),
        ros.frame_id,
    )
    np.testing.assert_array_equal(msg.data, np.arange(12))
    assert np.shares_memory(msg.data, np.frombuffer(raw, np.uint8))


@given(st.binary(max_size=200), st.sampled_from([IMAGE, INFO]))
def test_random_bytes_are_a_message_or_undecodable(raw, msgtype):
    try:
        decode(raw, msgtype)
    except FrameError as error:
        assert error.cause == "undecodable"


@given(st.data())
def test_cut_messages_are_undecodable(ros, data):
    raw = wire(ros, ros.image(np.zeros((HEIGHT, WIDTH), np.uint16), "16UC1"))
    with pytest.raises(FrameError) as error:
        decode(raw[: data.draw(st.integers(0, len(raw) - 1))], IMAGE)
    assert error.value.cause == "undecodable"


def spoiled(data, raw: bytes) -> bytes:
    """``raw`` with some bytes changed, mostly among the fields before the pixels."""
    content = bytearray(raw)
    places = st.one_of(st.integers(0, 79), st.integers(0, len(raw) - 1))
    for at in data.draw(st.lists(places, min_size=1, max_size=6)):
        content[at] = data.draw(st.integers(0, 255))
    return bytes(content)


@given(st.data())
def test_a_spoiled_frame_is_refused_with_a_cause_or_used(ros, data):
    """From the wire to the checked frame: no other exception, and every image accounted for."""
    frames = []
    inbox = FrameInbox(frames.append)
    stamp_ns = 1_000_000_000
    messages = {
        "info": ros.camera_info(WIDTH, HEIGHT, stamp_ns=stamp_ns),
        "depth": ros.image(np.full((HEIGHT, WIDTH), 700, np.uint16), "16UC1", stamp_ns=stamp_ns),
        "color": ros.image(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "rgb8", stamp_ns=stamp_ns),
    }
    undecodable = 0
    for stream, message in messages.items():
        try:
            msg = decode(spoiled(data, wire(ros, message)), message.__msgtype__)
        except FrameError as error:
            assert error.cause == "undecodable"
            undecodable += stream != "info"
            continue
        if stream == "info":
            inbox.add_info(msg)
        else:
            inbox.add_image(stream, msg)
    inbox.finish()
    counts = inbox.counts()
    assert sum(counts.received.values()) + undecodable == 2
    assert 2 * counts.pairs + counts.unpaired.total() + undecodable == 2
    assert counts.pairs == len(frames) + inbox.pairs_dropped().total()
    for frame in frames:
        try:
            made = make_frame(frame.color_msg, frame.depth_msg, frame.info_msg)
        except FrameError as error:
            assert error.cause
        else:
            sec, nanosec = divmod(made.stamp_ns, 1_000_000_000)
            assert 0 < sec < 2**31 or (sec == 0 and nanosec > 0), "no ROS time holds this stamp"
