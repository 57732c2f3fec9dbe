"""The curves of a segmenter that goes by depth alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from repsam_ros.config import build_config
from repsam_ros.datasets import Sample
from repsam_ros.errors import ConfigError
from repsam_ros.evaluation.robustness.config import RobustnessConfig
from repsam_ros.evaluation.robustness.run import measure
from repsam_ros.structures import Instances, Intrinsics, RgbdFrame

SUBJECT = {"name": "depth", "version": "1", "precision": "fp32", "model_sha256": "0"}
LEVELS = {"depth_lost": [0.0, 0.5, 1.0], "light": [0.1, 1.0]}


class Boxes:
    """Frames with one to four boxes before a wall."""

    names = ["one", "two", "three", "four"]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        labels = np.zeros((60, 80), np.uint16)
        for k in range(index + 1):
            labels[20:40, 4 + 19 * k : 19 * (k + 1)] = k + 1
        depth_m = np.where(labels > 0, 0.6, 1.0).astype(np.float32)
        color = np.full((60, 80, 3), 120, np.uint8)
        frame = RgbdFrame(color, depth_m, Intrinsics(70, 70, 40, 30, 80, 60))
        return Sample(self.names[index], frame, labels, np.zeros(labels.shape, bool))

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def near_things(frame: RgbdFrame) -> Instances:
    near = ((frame.depth_m > 0) & (frame.depth_m < 0.8)).astype(np.uint8)
    count, labels = cv2.connectedComponents(near)
    prompts_px = np.zeros((count - 1, 2), np.float32)
    return Instances(labels.astype(np.uint16), np.ones(count - 1, np.float32), prompts_px)


def run(out: Path, **changes: object) -> dict:
    content = {"dataset": "boxes", "root": "-", "levels": LEVELS, "objects": [1, 3], **changes}
    content.setdefault("bootstrap", {"samples": 50})
    config = build_config(RobustnessConfig, content, "test")
    return measure(Boxes(), near_things, out, subject=SUBJECT, config=config)


def curve(content: dict, name: str, score: str = "strict_miou") -> list[float]:
    return [point["mean"][score] for point in content["curves"][name]]


def test_curves_fall_where_the_segmenter_depends_on_what_is_disturbed(tmp_path: Path) -> None:
    content = run(tmp_path)
    lost = curve(content, "depth_lost")
    assert lost[0] == 100 and lost[2] == 0
    assert 20 < lost[1] < 90
    assert curve(content, "light") == [100, 100]
    assert content["plain"]["mean"]["strict_miou"] == 100
    assert json.loads((tmp_path / "robustness.json").read_text()) == content


def test_images_are_classed_by_their_objects(tmp_path: Path) -> None:
    rows = run(tmp_path)["objects"]
    assert [(row["least"], row["most"], row["images"]) for row in rows] == [
        (1, 1, 1),
        (2, 3, 2),
        (4, None, 1),
    ]


def test_a_class_of_one_image_has_no_interval(tmp_path: Path) -> None:
    run(tmp_path)
    content = json.loads((tmp_path / "robustness.json").read_text())
    single = [row for row in content["objects"] if row["images"] == 1]
    assert single and all(row["ci95"]["overlap_f"] is None for row in single)
    mean = single[0]["mean"]["overlap_f"]
    assert f"| {mean:.1f} (-) |" in (tmp_path / "robustness.md").read_text()


def test_a_level_scores_the_same_whatever_else_is_measured(tmp_path: Path) -> None:
    alone = run(tmp_path / "a", levels={"depth_lost": [0.5]})
    assert curve(alone, "depth_lost") == curve(run(tmp_path / "b"), "depth_lost")[1:2]
    other = run(tmp_path / "c", levels={"depth_lost": [0.5]}, seed=1)
    assert curve(other, "depth_lost") != curve(alone, "depth_lost")


def test_the_page_and_the_picture_show_every_curve(tmp_path: Path) -> None:
    run(tmp_path)
    page = (tmp_path / "robustness.md").read_text()
    assert "| 1\\* | 100.0 (100.0 to 100.0)" in page  # light as it is
    assert "| 4 or more | 1 |" in page
    picture = cv2.imread(str(tmp_path / "robustness.png"))
    assert picture.shape[0] == 3 * 320  # two disturbances and the number of objects


def test_wrong_levels_are_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"levels\.light must rise"):
        run(tmp_path, levels={"light": [1.0, 0.5]})
    with pytest.raises(ConfigError, match="objects must rise from 1"):
        run(tmp_path, objects=[3, 2])
    with pytest.raises(ConfigError, match="between 0 and 1"):
        run(tmp_path, levels={"depth_lost": [2.0]})
