"""Bags of other recorders: compressed images, depth with a camera info of its own."""

from __future__ import annotations

import dataclasses
import struct

import cv2
import numpy as np
import pytest
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from repsam_ros import bags
from repsam_ros.cli.main import main
from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.perception.frame import make_frame

COLOR, DEPTH, INFO = "/cam/rgb", "/cam/depth", "/cam/info"
DEPTH_INFO = "/cam/depth_info"
TOPICS = bags.BagTopics(COLOR, DEPTH, INFO)
WIDTH, HEIGHT = 32, 24
STAMPS_NS = (1_000_000_000, 1_500_000_000)


def pixels(stamp_ns, width=WIDTH, height=HEIGHT):
    rng = np.random.default_rng(stamp_ns)
    color = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return color, rng.integers(0, 3000, (height, width)).astype(np.uint16)


def png(image):
    return cv2.imencode(".png", image)[1].reshape(-1)


def color_message(ros, image, stamp_ns, transport="raw"):
    if transport == "raw":
        return ros.image(image, "rgb8", stamp_ns=stamp_ns)
    data = png(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return ros.compressed_image(data, "rgb8; png compressed bgr8", stamp_ns=stamp_ns)


def depth_message(ros, image, stamp_ns, transport="raw"):
    if transport == "raw":
        return ros.image(image, "16UC1", stamp_ns=stamp_ns)
    data = np.concatenate((np.frombuffer(struct.pack("<iff", 0, 0, 0), np.uint8), png(image)))
    return ros.compressed_image(data, "16UC1; compressedDepth png", stamp_ns=stamp_ns)


def recorded(ros, path, color="raw", depth="raw", below=True):
    """A bag with two frames; compressed topics below the raw ones, or called as they are."""
    names = {
        "color": COLOR + ("/compressed" if below and color == "compressed" else ""),
        "depth": DEPTH + ("/compressedDepth" if below and depth == "compressed" else ""),
    }
    messages = []
    for stamp_ns in STAMPS_NS:
        color_px, depth_px = pixels(stamp_ns)
        messages += [
            (INFO, ros.camera_info(WIDTH, HEIGHT, stamp_ns=stamp_ns)),
            (names["color"], color_message(ros, color_px, stamp_ns, color)),
            (names["depth"], depth_message(ros, depth_px, stamp_ns, depth)),
        ]
    return ros.record(path, messages)


def frames_of(bag, topics=TOPICS):
    return [
        make_frame(
            entry.color_msg, entry.depth_msg, entry.info_msg, depth_info_msg=entry.depth_info_msg
        )
        for entry in bags.BagFrames(bag, topics)
    ]


@pytest.mark.parametrize("below", [True, False])
@pytest.mark.parametrize(
    ("color", "depth"), [("compressed", "compressed"), ("compressed", "raw"), ("raw", "compressed")]
)
def test_frames_of_compressed_topics_are_those_of_raw_ones(ros, tmp_path, color, depth, below):
    bag = recorded(ros, tmp_path / "bag", color, depth, below)
    found = bags.find_topics(bags.bag_info(bag), TOPICS)
    assert (found.color_transport, found.depth_transport) == (color, depth)
    assert bags.find_topics(bags.bag_info(bag), found) == found
    for frame, stamp_ns in zip(frames_of(bag), STAMPS_NS, strict=True):
        color_px, depth_px = pixels(stamp_ns)
        np.testing.assert_array_equal(frame.color, color_px)
        np.testing.assert_allclose(frame.depth_m, depth_px / 1000, rtol=1e-6)
        assert frame.stamp_ns == stamp_ns


def test_check_and_info_take_compressed_topics(ros, tmp_path, capsys):
    bag = recorded(ros, tmp_path / "bag", "compressed", "compressed")
    report = bags.check_bag(bag, TOPICS)
    assert (report.problems, report.pairs, report.frames) == ((), 2, 2)
    assert report.encodings == {
        f"{COLOR}/compressed": ("rgb8; png compressed bgr8",),
        f"{DEPTH}/compressedDepth": ("16UC1; compressedDepth png",),
    }
    assert main(["bag", "info", str(bag)]) == 0
    assert f"2  {COLOR}/compressed  sensor_msgs/msg/CompressedImage" in capsys.readouterr().out


def test_the_wanted_one_is_read_where_a_bag_has_both(ros, tmp_path):
    messages = [(INFO, ros.camera_info(WIDTH, HEIGHT))]
    for topic, transport, value in ((COLOR, "raw", 10), (f"{COLOR}/compressed", "compressed", 20)):
        image = np.full((HEIGHT, WIDTH, 3), value, np.uint8)
        messages.append((topic, color_message(ros, image, STAMPS_NS[0], transport)))
    messages.append((DEPTH, depth_message(ros, pixels(1)[1], STAMPS_NS[0])))
    bag = ros.record(tmp_path / "bag", messages)
    for transport, value in (("raw", 10), ("compressed", 20)):
        topics = bags.BagTopics(COLOR, DEPTH, INFO, color_transport=transport)
        (frame,) = frames_of(bag, topics)
        assert frame.color[0, 0, 0] == value
    with pytest.raises(ConfigError, match="not 'zip'"):
        bags.BagTopics(depth_transport="zip")


def test_a_topic_without_messages_is_not_the_one_to_read(ros, tmp_path):
    bag = recorded(ros, tmp_path / "bag", "compressed", "raw")
    info = bags.bag_info(bag)
    silent = bags.TopicInfo(COLOR, "sensor_msgs/msg/Image", 0)
    info = dataclasses.replace(info, topics=(silent, *info.topics))
    assert bags.find_topics(info, TOPICS).color == f"{COLOR}/compressed"
    depth = bags.TopicInfo(f"{DEPTH}/compressedDepth", "sensor_msgs/msg/CompressedImage", 0)
    kept = tuple(topic for topic in info.topics if topic.name != DEPTH)
    with pytest.raises(DatasetError, match=f"{depth.name} holds no messages"):
        bags.find_topics(dataclasses.replace(info, topics=(*kept, depth)), TOPICS)


def test_camera_info_that_is_that_of_depth_as_well_serves_both(ros, tmp_path):
    bag = recorded(ros, tmp_path / "bag")
    topics = dataclasses.replace(TOPICS, depth_info=INFO)
    assert len(frames_of(bag, topics)) == len(STAMPS_NS)
    report = bags.check_bag(bag, topics)
    assert (report.problems, report.frames) == ((), len(STAMPS_NS))
    assert report.rates_hz[INFO] == pytest.approx(2.0)


def test_messages_of_all_channels_of_a_topic_count(ros, tmp_path):
    """Recorders open a channel for each quality of service; nothing came through the last."""
    now = QosTime(0, 0)
    qos = (QosReliability.RELIABLE, QosDurability.VOLATILE, now, now)
    late = Qos(QosHistory.KEEP_LAST, 1, *qos, QosLiveliness.AUTOMATIC, now, False)
    (stamp_ns, *_), (color_px, depth_px) = STAMPS_NS, pixels(STAMPS_NS[0])
    with Writer(tmp_path / "bag", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, message in (
            (INFO, ros.camera_info(WIDTH, HEIGHT, stamp_ns=stamp_ns)),
            (COLOR, color_message(ros, color_px, stamp_ns)),
            (DEPTH, depth_message(ros, depth_px, stamp_ns)),
        ):
            kind = message.__msgtype__
            first = writer.add_connection(topic, kind, typestore=ros.typestore)
            writer.add_connection(topic, kind, typestore=ros.typestore, offered_qos_profiles=[late])
            writer.write(first, stamp_ns, ros.typestore.serialize_cdr(message, kind))
    for bag in (tmp_path / "bag", tmp_path / "bag" / "bag.mcap"):
        counts = [(topic.name, topic.count) for topic in bags.bag_info(bag).topics]
        assert counts == [(name, 1) for name in sorted((COLOR, DEPTH, INFO))]
        assert len(frames_of(bag)) == 1


def test_a_bag_with_neither_says_which_topics_it_has(ros, tmp_path):
    bag = ros.record(tmp_path / "bag", [(INFO, ros.camera_info(WIDTH, HEIGHT))])
    with pytest.raises(DatasetError) as error:
        next(bags.read_bag(bag, TOPICS))
    for text in (
        f"no color topic {COLOR} or {COLOR}/compressed",
        f"no depth topic {DEPTH} or {DEPTH}/compressedDepth",
        f"the bag has: {INFO} (sensor_msgs/msg/CameraInfo)",
    ):
        assert text in str(error.value)
    assert len(bags.check_bag(bag, TOPICS).problems) == 2


def test_depth_of_another_size_is_registered_by_its_own_camera_info(ros, tmp_path, capsys):
    """Depth with a quarter of the pixels and half the focal length: the same rays, 2x2 each."""
    messages = []
    for stamp_ns in STAMPS_NS:
        color_px, depth_px = pixels(stamp_ns, WIDTH // 2, HEIGHT // 2)
        half = ros.camera_info(WIDTH // 2, HEIGHT // 2, fx=250.0, stamp_ns=stamp_ns)
        messages += [
            (INFO, ros.camera_info(WIDTH, HEIGHT, stamp_ns=stamp_ns)),
            (COLOR, color_message(ros, color_px, stamp_ns)),
            (DEPTH, depth_message(ros, depth_px, stamp_ns, "compressed")),
            (DEPTH_INFO, half),  # after the first pair, which waits for it
        ]
    bag = ros.record(tmp_path / "bag", messages)
    with_info = bags.BagTopics(COLOR, DEPTH, INFO, DEPTH_INFO)
    for frame, stamp_ns in zip(frames_of(bag, with_info), STAMPS_NS, strict=True):
        depth_px = pixels(stamp_ns, WIDTH // 2, HEIGHT // 2)[1]
        expected_m = np.kron(depth_px, np.ones((2, 2))) / 1000
        np.testing.assert_allclose(frame.depth_m, expected_m, rtol=1e-6)
    report = bags.check_bag(bag, with_info)
    assert (report.problems, report.frames) == ((), 2)
    (problem,) = bags.check_bag(bag, TOPICS).problems
    assert "2 unusable frames: size_mismatch" in problem
    names = ["--color-topic", COLOR, "--depth-topic", DEPTH, "--info-topic", INFO]
    assert main(["bag", "check", str(bag), *names, "--depth-info-topic", DEPTH_INFO]) == 0
    assert main(["bag", "check", str(bag), *names, "--depth-info-topic", "/absent"]) == 2
    assert "no depth_info topic /absent" in capsys.readouterr().err


def test_colour_and_depth_from_one_topic_are_refused():
    with pytest.raises(ConfigError, match="two topics"):
        bags.BagTopics(color="/image", depth="/image")
