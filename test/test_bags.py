from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from rosbags.rosbag2 import Reader, Writer

from repsam_ros import bags
from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.perception.frame import make_frame
from repsam_ros.structures import Intrinsics, RgbdFrame

WIDTH, HEIGHT = 32, 24
CAMERA = Intrinsics(30.0, 31.0, 15.5, 11.5, WIDTH, HEIGHT)


def samples(count=4):
    rng = np.random.default_rng(0)
    for index in range(count):
        frame = RgbdFrame(
            rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8),
            (rng.integers(0, 3000, (HEIGHT, WIDTH)) / 1000).astype(np.float32),
            CAMERA,
        )
        yield SimpleNamespace(name=f"scene {index}", frame=frame)


@pytest.fixture(params=sorted(bags.STORAGES))
def bag(request, tmp_path):
    path = tmp_path / "bag"
    bags.write_bag(path, samples(), 2.0, request.param)
    return path


def storage_file(bag):
    return next(path for path in bag.iterdir() if path.suffix in (".db3", ".mcap"))


def read_all(bag):
    return [(entry.topic, entry.time_ns, entry.raw) for entry in bags.read_bag(bag)]


def test_frames_come_back_with_names_and_exact_stamps(bag):
    frames = list(bags.BagFrames(bag))
    assert [entry.name for entry in frames] == [f"scene {index}" for index in range(4)]
    stamps_ns = [entry.stamp_ns for entry in frames]
    assert stamps_ns[0] > 0
    assert set(np.diff(stamps_ns)) == {500_000_000}
    for entry, sample in zip(frames, samples(), strict=True):
        frame = make_frame(entry.color_msg, entry.depth_msg, entry.info_msg)
        np.testing.assert_array_equal(frame.color, sample.frame.color)
        np.testing.assert_array_equal(frame.depth_m, sample.frame.depth_m)
        assert frame.intrinsics == CAMERA
        assert frame.frame_id == sample.frame.frame_id


def test_info_lists_topics_counts_and_duration(bag):
    info = bags.bag_info(bag)
    assert {topic.name: topic.count for topic in info.topics} == {
        "/camera/color/image_raw": 4,
        "/camera/aligned_depth_to_color/image_raw": 4,
        "/camera/color/camera_info": 4,
    }
    assert info.duration_ns == 1_500_000_000
    assert info.storage in storage_file(bag).name or storage_file(bag).suffix == ".db3"


def test_camera_info_is_recorded_before_the_images_of_its_stamp(bag):
    entries = list(bags.read_bag(bag))
    assert entries[0].stream == "info"
    assert [entry.time_ns for entry in entries] == sorted(entry.time_ns for entry in entries)


def test_check_of_a_good_bag_finds_nothing(bag):
    report = bags.check_bag(bag)
    assert report.problems == ()
    assert (report.pairs, report.frames) == (4, 4)
    assert set(report.rates_hz.values()) == {2.0}


@pytest.mark.parametrize("kept", [0.0, 0.2, 0.7, 0.99])
def test_truncated_bags_are_named(bag, kept):
    data = storage_file(bag).read_bytes()
    storage_file(bag).write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(DatasetError, match="corrupt bag") as error:
        read_all(bag)
    assert str(bag) in str(error.value)


def test_flipped_bits_are_found_wherever_they_hit_a_message(bag):
    whole = read_all(bag)
    data = storage_file(bag).read_bytes()
    found = 0
    for at in np.linspace(0, len(data) - 17, 60).astype(int):
        flipped = bytearray(data)
        flipped[at : at + 16] = bytes(value ^ 0xFF for value in flipped[at : at + 16])
        storage_file(bag).write_bytes(flipped)
        try:
            assert read_all(bag) == whole
        except DatasetError as error:
            assert str(bag) in str(error)
            found += 1
    assert found > 10


def test_damaged_metadata_is_named(bag):
    text = (bag / "metadata.yaml").read_text()
    for damaged in ("", "no: [bag", "a: 1", text.replace("message_count: 4", "message_count: x")):
        (bag / "metadata.yaml").write_text(damaged)
        with pytest.raises(DatasetError, match=str(bag)):
            read_all(bag)
    (bag / "metadata.yaml").write_text(text.replace("message_count: 4", "message_count: 5"))
    with pytest.raises(DatasetError, match="4 of 5 messages"):
        read_all(bag)
    (bag / "metadata.yaml").unlink()
    with pytest.raises(DatasetError, match=r"no metadata\.yaml"):
        bags.bag_info(bag)


def test_missing_bags_and_wrong_topics_are_named(bag, tmp_path):
    with pytest.raises(DatasetError, match="no such bag"):
        read_all(tmp_path / "absent")
    topics = bags.BagTopics(depth="/depth/raw")
    with pytest.raises(
        DatasetError, match=r"/depth/raw/compressedDepth; the bag has: .*camera_info"
    ):
        list(bags.read_bag(bag, topics))
    assert bags.check_bag(bag, topics).problems == (
        "no depth topic /depth/raw or /depth/raw/compressedDepth",
    )
    swapped = bags.BagTopics(color="/camera/color/camera_info")
    with pytest.raises(DatasetError, match="expected sensor_msgs/msg/Image"):
        list(bags.read_bag(bag, swapped))


def test_a_storage_file_alone_is_read_without_names(bag):
    frames = list(bags.BagFrames(storage_file(bag)))
    assert [entry.name for entry in frames] == [None] * 4


def test_no_bag_is_left_when_writing_fails(tmp_path):
    def failing():
        yield from samples(2)
        raise DatasetError("the third frame is broken")

    with pytest.raises(DatasetError, match="third frame"):
        bags.write_bag(tmp_path / "bag", failing())
    with pytest.raises(DatasetError, match="no samples"):
        bags.write_bag(tmp_path / "bag", [])
    assert list(tmp_path.iterdir()) == []


def test_only_bags_are_overwritten_and_only_when_told(bag, tmp_path):
    with pytest.raises(DatasetError, match="exists already"):
        bags.write_bag(bag, samples(1))
    with pytest.raises(DatasetError, match="exists already"):
        bags.write_bag(bag, [], overwrite=False)
    with pytest.raises(DatasetError, match="no samples"):
        bags.write_bag(bag, [], overwrite=True)
    assert bags.bag_info(bag).message_count == 12
    bags.write_bag(bag, samples(1), overwrite=True)
    assert bags.bag_info(bag).message_count == 3
    other = tmp_path / "photos"
    other.mkdir()
    (other / "photo").touch()
    with pytest.raises(DatasetError, match="not a bag"):
        bags.write_bag(other, samples(1), overwrite=True)
    assert (other / "photo").exists()


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, float("nan"), float("inf")])
def test_rates_that_give_no_stamps_are_refused(tmp_path, rate_hz):
    with pytest.raises(ConfigError, match="rate"):
        bags.write_bag(tmp_path / "bag", samples(1), rate_hz)


def test_unknown_storage_lists_what_there_is(tmp_path):
    with pytest.raises(ConfigError, match="sqlite3, mcap"):
        bags.write_bag(tmp_path / "bag", samples(1), storage="bag")


def test_metadata_holds_names_and_checksums(bag):
    with Reader(bag) as reader:
        kept = json.loads(reader.storage.metadata.custom["repsam_ros"])
    assert list(kept["frames"].values()) == [f"scene {index}" for index in range(4)]
    assert {len(sums) for sums in kept["crc32"].values()} == {4}


@dataclasses.dataclass
class Recording:
    """A bag as other tools record it: own topics, no names."""

    path: object
    ros: object
    topics: bags.BagTopics = dataclasses.field(
        default_factory=lambda: bags.BagTopics("/rgb", "/depth", "/info")
    )

    def write(self, messages):
        """``messages``: (topic, message) in the order of recording."""
        with Writer(self.path, version=9) as writer:
            connections = {
                topic: writer.add_connection(
                    topic, bags.topics.STREAM_TYPES[stream], typestore=self.ros.typestore
                )
                for stream, topic in self.topics.by_stream().items()
            }
            for index, (topic, message) in enumerate(messages):
                connection = connections[topic]
                raw = self.ros.typestore.serialize_cdr(message, connection.msgtype)
                writer.write(connection, 1_000_000_000 + index, raw)
        return self.path


def test_check_names_each_problem_of_a_foreign_bag(ros, tmp_path):
    color = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    depth = np.full((HEIGHT, WIDTH), 700, np.uint16)
    second = 1_000_000_000
    messages = [("/info", ros.camera_info(WIDTH, HEIGHT))]
    for index, (encoding, depth_pixels, skew_ns) in enumerate(
        [
            ("rgb8", depth, 10_000_000),
            ("yuv422", depth, 0),
            ("rgb8", 0 * depth, 0),
            ("rgb8", depth, 200_000_000),
        ]
    ):
        stamp_ns = (index + 1) * second
        messages.append(("/rgb", ros.image(color, encoding, stamp_ns=stamp_ns)))
        messages.append(("/depth", ros.image(depth_pixels, "16UC1", stamp_ns=stamp_ns + skew_ns)))
    recording = Recording(tmp_path / "foreign", ros)
    report = bags.check_bag(recording.write(messages), recording.topics)
    assert (report.pairs, report.frames) == (3, 1)
    assert report.encodings["/rgb"] == ("rgb8", "yuv422")
    problems = "\n".join(report.problems)
    for named in ("unmatched_color", "unmatched_depth", "unknown_encoding", "empty_depth"):
        assert named in problems


def test_pairs_wait_for_the_first_camera_info(ros, tmp_path):
    messages = []
    for stamp_ns in (1_000_000_000, 2_000_000_000):
        color = ros.image(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "rgb8", stamp_ns=stamp_ns)
        depth = ros.image(np.ones((HEIGHT, WIDTH), np.uint16), "16UC1", stamp_ns=stamp_ns)
        messages += [("/rgb", color), ("/depth", depth)]
    messages.append(("/info", ros.camera_info(WIDTH, HEIGHT)))
    recording = Recording(tmp_path / "foreign", ros)
    recording.write(messages)
    frames = bags.BagFrames(recording.path, recording.topics)
    entries = list(frames)
    assert [entry.stamp_ns for entry in entries] == [1_000_000_000, 2_000_000_000]
    for entry in entries:
        frame = make_frame(entry.color_msg, entry.depth_msg, entry.info_msg)
        assert frame.stamp_ns == entry.stamp_ns
    assert frames.inbox.pairs == 2
    assert not frames.inbox.pairs_dropped()


def test_an_empty_bag_is_named(ros, tmp_path):
    recording = Recording(tmp_path / "empty", ros)
    with pytest.raises(DatasetError, match="no messages"):
        bags.bag_info(recording.write([]))
