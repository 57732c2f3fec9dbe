from __future__ import annotations

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from repsam_ros.backends import BackendInfo
from repsam_ros.bags import write_bag
from repsam_ros.errors import ConfigError, DatasetError, FrameError
from repsam_ros.images import read_labels, write_png
from repsam_ros.metrics.labels import score_labels
from repsam_ros.perception.tracking import TrackingSettings
from repsam_ros.replay.config import ReplaySettings
from repsam_ros.replay.report import text_table
from repsam_ros.replay.run import replay_bag
from repsam_ros.replay.truth import Truth
from repsam_ros.structures import UNKNOWN_LABEL, Instances, Intrinsics, RgbdFrame

WIDTH, HEIGHT = 24, 16
TABLE_M, OBJECT_M = 1.0, 0.8


class NearThreshold:
    """Takes all that is nearer than the table for one object: a real, if simple, segmenter."""

    info = BackendInfo("threshold", "cpu", "none", "", "fp32", "1")

    def segment(self, frame):
        if frame.color[0, 0, 0] == 13:
            raise FrameError("out_of_memory", "unlucky frame")
        labels = ((frame.depth_m > 0) & (frame.depth_m < 0.9)).astype(np.uint16)
        count = int(labels.max())
        return Instances(labels, np.ones(count, np.float32), np.zeros((count, 2), np.float32))


def scene(index, *, depth_m=None, red=0):
    scene_depth_m = np.full((HEIGHT, WIDTH), TABLE_M, np.float32)
    scene_depth_m[4:8, index : index + 5] = OBJECT_M
    color = np.full((HEIGHT, WIDTH, 3), red, np.uint8)
    camera = Intrinsics(20.0, 20.0, 11.5, 7.5, WIDTH, HEIGHT)
    frame = RgbdFrame(color, scene_depth_m if depth_m is None else depth_m, camera)
    return SimpleNamespace(name=f"scene{index}", frame=frame)


def test_every_frame_gets_its_label_map(tmp_path):
    scenes = [scene(index) for index in range(5)]
    write_bag(tmp_path / "bag", scenes)
    summary = replay_bag(tmp_path / "bag", tmp_path / "out", NearThreshold())
    assert summary["received"] == {"color": 5, "depth": 5}
    assert (summary["pairs"], summary["published"], summary["dropped"]) == (5, 5, {})
    assert summary["backend"]["name"] == "threshold"
    assert summary["topics"]["color"] == "/camera/color/image_raw"
    assert "/camera/aligned_depth_to_color/image_raw" in text_table(summary)
    assert summary["latency_ms"]["p50"] > 0
    assert json.loads((tmp_path / "out/summary.json").read_text()) == summary
    for entry, wanted in zip(summary["frames"], scenes, strict=True):
        assert entry["name"] == wanted.name
        labels = read_labels(tmp_path / "out/labels" / f"{entry['stamp_ns']}.png")
        np.testing.assert_array_equal(labels, wanted.frame.depth_m < 0.9)


def test_unusable_frames_are_counted_and_the_rest_goes_on(tmp_path):
    no_depth_m = np.zeros((HEIGHT, WIDTH), np.float32)
    scenes = [scene(0), scene(1, depth_m=no_depth_m), scene(2, red=13), scene(3)]
    write_bag(tmp_path / "bag", scenes)
    summary = replay_bag(tmp_path / "bag", tmp_path / "out", NearThreshold())
    assert summary["dropped"] == {"empty_depth": 1, "out_of_memory": 1}
    assert [frame["name"] for frame in summary["frames"]] == ["scene0", "scene3"]
    assert len(list((tmp_path / "out/labels").iterdir())) == 2


def test_a_replay_without_a_usable_frame_has_no_latency(tmp_path):
    write_bag(tmp_path / "bag", [scene(0, red=13)])
    summary = replay_bag(tmp_path / "bag", tmp_path / "out", NearThreshold())
    assert summary["published"] == 0
    assert summary["latency_ms"] == {"p50": None, "p95": None, "p99": None}


def test_results_of_an_earlier_replay_are_gone(tmp_path):
    write_bag(tmp_path / "long", [scene(index) for index in range(3)])
    write_bag(tmp_path / "short", [scene(0)])
    replay_bag(tmp_path / "long", tmp_path / "out", NearThreshold())
    (tmp_path / "out/labels/notes.png").touch()
    replay_bag(tmp_path / "short", tmp_path / "out", NearThreshold())
    names = sorted(path.name for path in (tmp_path / "out/labels").iterdir())
    assert names == ["1700000000000000000.png", "notes.png"]
    assert len(list((tmp_path / "out/overlays").iterdir())) == 1


def test_report_shows_every_frame_and_every_cause(tmp_path):
    write_bag(tmp_path / "bag", [scene(0), scene(1, red=13), scene(2)])
    replay_bag(tmp_path / "bag", tmp_path / "out", NearThreshold())
    page = (tmp_path / "out/report.html").read_text()
    sources = re.findall(r'src="([^"]+)"', page)
    assert len(sources) == 3  # the two frames and the chart of their latency
    assert all((tmp_path / "out" / source).is_file() for source in sources)
    assert "out_of_memory 1" in page


def labelled(index):
    made = scene(index)
    made.labels = (made.frame.depth_m < 0.9).astype(np.uint16)
    if index == 1:
        made.labels[12:14, 2:6] = 2  # an object that is as far away as the table
    return made


@pytest.mark.parametrize("source", ["topic", "folder"])
def test_scores_against_labels_of_the_bag_or_of_a_folder(tmp_path, source):
    scenes = [labelled(0), labelled(1), labelled(2)]
    write_bag(tmp_path / "bag", scenes, labels_topic="/labels")
    for sample in scenes[:2]:
        write_png(tmp_path / "true" / f"{sample.name}.png", sample.labels)
    truth = Truth(labels_topic="/labels") if source == "topic" else Truth(str(tmp_path / "true"))
    settings = ReplaySettings(truth=truth)
    summary = replay_bag(tmp_path / "bag", tmp_path / "out", NearThreshold(), settings)
    wanted = [score_labels(made.frame.depth_m < 0.9, made.labels) for made in scenes]
    if source == "folder":
        wanted.pop()
        assert "scores" not in summary["frames"][2]
    assert summary["scored"] == len(wanted)
    assert 0 < summary["frames"][1]["scores"]["overlap_r"] < 100
    for name in ("overlap_f", "boundary_f", "strict_miou"):
        mean = np.mean([getattr(scores, name) for scores in wanted])
        assert summary["scores"][name] == pytest.approx(100 * mean, abs=1e-4)
    page = (tmp_path / "out/report.html").read_text()
    assert f"{summary['scores']['overlap_f']:.1f}" in page
    assert 'src="latency.png"' in page and (tmp_path / "out/latency.png").is_file()


@pytest.mark.parametrize("source", ["topic", "folder"])
def test_what_nobody_labelled_counts_as_it_does_in_an_evaluation(tmp_path, source):
    sample = labelled(0)
    sample.labels[:6], sample.ignore = 0, np.zeros(sample.labels.shape, bool)
    sample.ignore[:6] = True
    write_bag(tmp_path / "bag", [sample], labels_topic="/labels")
    unknown = np.where(sample.ignore, UNKNOWN_LABEL, sample.labels).astype(np.uint16)
    write_png(tmp_path / "true" / f"{sample.name}.png", unknown)
    truth = Truth(labels_topic="/labels") if source == "topic" else Truth(str(tmp_path / "true"))
    settings = ReplaySettings(truth=truth)
    summary = replay_bag(tmp_path / "bag", tmp_path / "out", NearThreshold(), settings)
    wanted = score_labels(sample.frame.depth_m < 0.9, sample.labels, sample.ignore)
    assert wanted != score_labels(sample.frame.depth_m < 0.9, sample.labels)
    for name in ("overlap_f", "boundary_f", "strict_miou"):
        assert summary["scores"][name] == pytest.approx(100 * getattr(wanted, name), abs=1e-4)


def test_truth_that_is_not_there_is_named_before_anything_runs(tmp_path):
    write_bag(tmp_path / "bag", [labelled(0)], labels_topic="/labels")
    (tmp_path / "other").mkdir()
    for truth, named in (
        (Truth(labels_topic="/truth"), "no label topic /truth"),
        (Truth(labels_topic="/camera/color/camera_info"), "expected sensor_msgs/msg/Image"),
        (Truth(labels_topic="/camera/color/image_raw"), "unknown|encoding"),
        (Truth(str(tmp_path / "absent")), "no such folder"),
        (Truth(str(tmp_path / "other")), "no true labels of any"),
    ):
        with pytest.raises(DatasetError, match=named):
            settings = ReplaySettings(truth=truth)
            replay_bag(tmp_path / "bag", tmp_path / "out", NearThreshold(), settings)
        assert not (tmp_path / "out/summary.json").exists()
    with pytest.raises(ConfigError, match="not both"):
        Truth("labels", "/labels")


def test_frames_are_left_out_as_the_node_leaves_them_out(tmp_path):
    write_bag(tmp_path / "bag", [scene(index) for index in range(6)], rate_hz=10)
    for settings, cause, kept in (
        (ReplaySettings(frame_step=2), "skipped", [0, 2, 4]),
        (ReplaySettings(max_rate_hz=5.0), "rate_limit", [0, 2, 4]),
    ):
        summary = replay_bag(tmp_path / "bag", tmp_path / "out", NearThreshold(), settings)
        assert summary["dropped"] == {cause: 3}
        assert [frame["name"] for frame in summary["frames"]] == [f"scene{k}" for k in kept]


class LeftFirst:
    """Each column of near pixels is an object, numbered from the left."""

    info = NearThreshold.info

    def segment(self, frame):
        near = (frame.depth_m > 0) & (frame.depth_m < 0.9)
        starts = np.diff(near.any(axis=0).astype(int), prepend=0) > 0
        labels = np.where(near, np.cumsum(starts), 0).astype(np.uint16)
        count = int(labels.max())
        return Instances(labels, np.ones(count, np.float32), np.zeros((count, 2), np.float32))


def test_ids_stay_with_the_objects_where_tracking_is_on(tmp_path):
    # Left columns; the third comes in from the left, and one goes away.
    objects = ((8, 14), (8, 14, 1), (1, 8, 14), (1, 8))
    samples = []
    for index, lefts in enumerate(objects):
        depth_m = np.full((HEIGHT, WIDTH), TABLE_M, np.float32)
        for left in lefts:
            depth_m[4:10, left : left + 4] = OBJECT_M
        samples.append(scene(index, depth_m=depth_m))
    write_bag(tmp_path / "bag", samples)
    for enabled, left, old in ((False, 1, 2), (True, 3, 1)):
        settings = ReplaySettings(tracking=TrackingSettings(enabled=enabled))
        summary = replay_bag(tmp_path / "bag", tmp_path / "out", LeftFirst(), settings)
        assert [frame["instances"] for frame in summary["frames"]] == [2, 3, 3, 2]
        labels = read_labels(sorted((tmp_path / "out/labels").iterdir())[-1])
        assert (labels[5, 2], labels[5, 9]) == (left, old)


def test_depth_scale_reaches_the_frames(tmp_path):
    write_bag(tmp_path / "bag", [scene(0)])
    settings = ReplaySettings(depth_scale_m=0.002)
    summary = replay_bag(tmp_path / "bag", tmp_path / "out", NearThreshold(), settings)
    assert summary["frames"][0]["instances"] == 0


def test_a_bag_that_breaks_off_leaves_no_summary(tmp_path):
    write_bag(tmp_path / "bag", [scene(index) for index in range(3)])
    file = tmp_path / "bag/bag.db3"
    data = bytearray(file.read_bytes())
    at = data.rfind(b"camera_color_optical_frame")
    data[at] ^= 0xFF
    file.write_bytes(data)
    with pytest.raises(DatasetError, match="checksum"):
        replay_bag(tmp_path / "bag", tmp_path / "out", NearThreshold())
    assert not (tmp_path / "out/summary.json").exists()
