"""Results on disk, from label maps that are known to be right or wrong."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from repsam_ros.datasets import Sample
from repsam_ros.errors import DatasetError, FrameError
from repsam_ros.evaluation.evaluate import (
    Prediction,
    evaluate,
    predict_from_files,
    predict_with,
)
from repsam_ros.evaluation.report import text_table
from repsam_ros.images import read_labels, write_png
from repsam_ros.metrics.coco import CocoScorer
from repsam_ros.metrics.labels import SCORE_NAMES
from repsam_ros.metrics.statistics import BootstrapSettings
from repsam_ros.structures import Instances, Intrinsics, RgbdFrame

BOOTSTRAP = BootstrapSettings(samples=50)


class Scenes:
    """Frames with two boxes; the top rows have no truth."""

    names = ["first", "second & <last>", "third"]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        labels = np.zeros((48, 64), np.uint16)
        labels[10:30, 5 + index : 25] = 2
        labels[10:30, 30:50] = 300
        ignore = np.zeros(labels.shape, bool)
        ignore[:4] = True
        intrinsics = Intrinsics(50, 50, 31.5, 23.5, 64, 48)
        depth_m = np.full(labels.shape, 0.7, np.float32)
        frame = RgbdFrame(np.full((48, 64, 3), 90, np.uint8), depth_m, intrinsics)
        return Sample(self.names[index], frame, labels, ignore)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def run(predict, out: Path, scenes: Scenes | None = None) -> dict:
    config = {"dataset": "scenes", "root": "<nowhere>", "group": {"key": 1}}
    return evaluate(
        scenes or Scenes(),
        predict,
        out,
        subject={"model": "a&b"},
        config=config,
        bootstrap=BOOTSTRAP,
    )


def perfect(sample: Sample) -> Prediction:
    return Prediction(np.where(sample.ignore, 7, sample.labels).astype(np.uint16))


def half(sample: Sample) -> Prediction:
    """Right in the first two images, empty in the third."""
    if sample.name == "third":
        return Prediction(np.zeros_like(sample.labels), {}, 0.25)
    return Prediction(sample.labels, {2: 0.9, 300: 0.5}, 0.25)


def test_perfect_label_maps_score_100(tmp_path: Path) -> None:
    metrics = run(perfect, tmp_path)
    assert metrics["mean"] == dict.fromkeys(SCORE_NAMES, 100.0)
    assert metrics["ci95"]["overlap_f"] == [100, 100]
    assert metrics["n"] == 3
    assert "latency_ms" not in metrics
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    for sample in Scenes():
        written = read_labels(tmp_path / "labels" / f"{sample.name}.png")
        np.testing.assert_array_equal(written, perfect(sample).labels)


def test_means_rows_and_latency(tmp_path: Path) -> None:
    metrics = run(half, tmp_path)
    assert metrics["mean"]["overlap_f"] == pytest.approx(200 / 3, abs=1e-3)
    assert metrics["mean"]["overlap_p"] == 100
    assert metrics["mean"]["strict_miou"] == pytest.approx(200 / 3, abs=1e-3)
    assert metrics["latency_ms"] == {"p50": 250.0, "p95": 250.0}
    assert metrics["instances"] == {"predicted": 4, "true": 6}
    with (tmp_path / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == Scenes.names
    assert [float(row["overlap_f"]) for row in rows] == [100, 100, 0]
    assert [row["predicted"] for row in rows] == ["2", "2", "0"]
    assert "66.7" in text_table(metrics)


def test_instance_scores_are_kept_and_give_the_same_ap_again(tmp_path: Path) -> None:
    metrics = run(half, tmp_path)
    # The surer of two objects is found in two of three images: 4 of 6, and 2 of 6 with one each;
    # of COCO's 101 recall steps 67 lie below 2 / 3.
    assert metrics["coco"] == pytest.approx(
        {
            **dict.fromkeys(("ap", "ap50", "ap75"), 100 * 67 / 101),
            "ar1": 100 / 3,
            "ar10": 200 / 3,
            "ar100": 200 / 3,
        },
        abs=1e-3,
    )
    rows = json.loads((tmp_path / "per_image.json").read_text())
    assert [row["name"] for row in rows] == Scenes.names
    assert rows[0]["overlap_f"] == 100 and rows[0]["latency_ms"] == 250
    assert rows[0]["instances"] == [{"id": 2, "score": 0.9}, {"id": 300, "score": 0.5}]
    assert rows[2]["instances"] == []
    scorer = CocoScorer()
    for row, sample in zip(rows, Scenes(), strict=True):
        labels = read_labels(tmp_path / "labels" / f"{row['name']}.png")
        scores = {instance["id"]: instance["score"] for instance in row["instances"]}
        scorer.add(labels, scores, sample.labels, sample.ignore)
    again = {name: round(100 * value, 4) for name, value in scorer.summarize().items()}
    assert again == metrics["coco"]


def test_label_maps_without_scores_have_no_ap(tmp_path: Path) -> None:
    metrics = run(perfect, tmp_path)
    assert metrics["coco"] == {"omitted": "label maps carry no scores"}
    rows = json.loads((tmp_path / "per_image.json").read_text())
    assert {row["instances"] for row in rows} == {None}


class Glass(Scenes):
    """Of the glass in the first frame the sensor sees half, 0.1 m too far; the second has none."""

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        transparent = sample.labels == (300 if index == 0 else 1)
        sensed_m = sample.frame.depth_m.copy()
        sensed_m[10:20][transparent[10:20]] = 0
        frame = RgbdFrame(sample.frame.color, sensed_m, sample.frame.intrinsics)
        true_m = np.full(sensed_m.shape, 0.6, np.float32)
        known = None if sample.name == "third" else true_m
        return replace(sample, frame=frame, transparent=transparent, true_depth_m=known)


def test_depth_on_glass_is_that_of_the_sensor(tmp_path: Path) -> None:
    depth = run(perfect, tmp_path, Glass())["transparent_depth"]
    assert depth["images"] == 1
    assert depth["missing"] == 0.5 and depth["mae_m"] == pytest.approx((0.6 + 0.1) / 2)
    assert depth["delta_110"] == 0 and depth["delta_125"] == 0.5
    page = (tmp_path / "report.html").read_text()
    assert "sensor&#x27;s depth on transparent pixels" in page
    assert "transparent_depth" not in run(perfect, tmp_path)


def test_objects_are_drawn_by_size(tmp_path: Path) -> None:
    run(half, tmp_path)
    assert "IoU by object size" in (tmp_path / "report.html").read_text()


def test_results_are_complete_or_without_metrics(tmp_path: Path) -> None:
    run(perfect, tmp_path)

    def fails_late(sample: Sample) -> Prediction:
        if sample.name == "third":
            raise DatasetError("broken")
        return perfect(sample)

    with pytest.raises(DatasetError):
        run(fails_late, tmp_path)
    assert not (tmp_path / "metrics.json").exists()
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]


def test_label_maps_from_files(tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    for sample in Scenes():
        write_png(folder / f"{sample.name}.png", sample.labels)
    metrics = run(predict_from_files(folder, Scenes.names), tmp_path / "out")
    assert metrics["mean"]["boundary_f"] == 100
    write_png(folder / "third.png", np.zeros((24, 32), np.uint16))
    with pytest.raises(DatasetError, match=r"third\.png: expected 64x48 .* got 32x24"):
        run(predict_from_files(folder, Scenes.names), tmp_path / "out")
    (folder / "third.png").unlink()
    with pytest.raises(DatasetError, match="no label map named third"):
        predict_from_files(folder, Scenes.names)


class TwoScenes(Scenes):
    """Two frames of one scene and one of another."""

    names = ["a1", "a2", "b1"]

    def __getitem__(self, index: int) -> Sample:
        return replace(super().__getitem__(index), scene=self.names[index][0])


class Cameras(Scenes):
    """Folders that are no scenes."""

    names = ["d415/1", "d415/2", "d435/1"]


def test_intervals_are_over_scenes_where_they_are_known(tmp_path: Path) -> None:
    def good_in_one_scene(sample: Sample) -> Prediction:
        return Prediction(sample.labels * np.uint16(sample.name.startswith("a")))

    metrics = run(good_in_one_scene, tmp_path, TwoScenes())
    assert metrics["scenes"] == 2 and metrics["n"] == 3
    assert text_table(metrics).endswith("\nscenes, drawn as a whole        2")
    assert metrics["ci95"]["overlap_f"] == [0, 100]
    with (tmp_path / "per_image.csv").open() as file:
        assert [row["scene"] for row in csv.DictReader(file)] == ["a", "a", "b"]
    assert "scenes" not in run(perfect, tmp_path, Cameras())


class OneImage(Scenes):
    names = ["only"]


def test_one_image_has_no_interval(tmp_path: Path) -> None:
    metrics = run(perfect, tmp_path, OneImage())
    assert (metrics["mean"]["overlap_f"], metrics["ci95"]["overlap_f"]) == (100, None)
    assert re.search(r"^Overlap F +100\.0 +-$", text_table(metrics), re.MULTILINE)
    page = (tmp_path / "report.html").read_text()
    assert "100.0 to 100.0" not in page and "100.0" in page


class NestedScenes(Scenes):
    names = ["table/top/1", "table/2", "3"]


def test_names_with_folders_are_found_and_written_in_folders(tmp_path: Path) -> None:
    maps, out = tmp_path / "maps", tmp_path / "out"
    scenes = NestedScenes()
    for sample in scenes:
        write_png(maps / f"{sample.name}.png", sample.labels)
    metrics = run(predict_from_files(maps, scenes.names), out, scenes)
    assert metrics["mean"]["overlap_f"] == 100
    written = read_labels(out / "labels" / "table" / "top" / "1.png")
    np.testing.assert_array_equal(written, scenes[0].labels)
    assert (out / "overlays" / "table" / "2.jpg").is_file()
    assert "table/top/1" in (out / "report.html").read_text()
    (maps / "table" / "2.png").unlink()
    with pytest.raises(DatasetError, match="no label map named table/2"):
        predict_from_files(maps, scenes.names)


def test_pipeline_scores_and_errors_carry_the_name() -> None:
    def segment(frame: RgbdFrame) -> Instances:
        labels = (frame.depth_m > 0).astype(np.uint16)
        return Instances(labels, np.array([0.5], np.float32), np.zeros((1, 2), np.float32))

    prediction = predict_with(segment)(Scenes()[0])
    assert prediction.scores == {1: 0.5}
    assert prediction.latency_s is not None and prediction.latency_s >= 0

    def refuses(frame: RgbdFrame) -> Instances:
        raise FrameError("empty_depth", "no valid pixel")

    with pytest.raises(FrameError, match="third: no valid pixel") as caught:
        predict_with(refuses)(Scenes()[2])
    assert caught.value.cause == "empty_depth"
