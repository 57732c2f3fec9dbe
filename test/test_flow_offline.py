"""The offline flow on the command line: scenes, pictures, training, weights, evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from repsam_ros.cli.main import main
from repsam_ros.paths import share_dir
from repsam_ros.simulation.frames import render_frames


@pytest.fixture
def mosd_root(tmp_path: Path) -> Path:
    """Two simulated frames in the layout of mOSD."""
    root = tmp_path / "mosd"
    for folder in ("rgb", "depth", "label"):
        (root / folder).mkdir(parents=True)
    for sample in render_frames(seed=4, count=2, width=160, height=120):
        name = f"{sample.name}.png"
        label = np.where(sample.labels > 0, sample.labels * 10 + 10, 1).astype(np.uint16)
        depth_mm = np.round(sample.frame.depth_m * 1000).astype(np.uint16)
        cv2.imwrite(str(root / "rgb" / name), sample.frame.color[:, :, ::-1])
        cv2.imwrite(str(root / "depth" / name), depth_mm)
        cv2.imwrite(str(root / "label" / name), label)
    return root


def test_train_then_evaluate(mosd_root: Path, tmp_path: Path) -> None:
    run, scores = tmp_path / "run", tmp_path / "scores"
    config = share_dir() / "config" / "experiments" / "smoke.yaml"
    assert main(["train", str(config), "--out", str(run), "--set", "steps=2"]) == 0
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    weights = run / "weights.safetensors"
    arguments = ["eval", "--dataset", "mosd", "--root", str(mosd_root), "--out", str(scores)]
    assert main([*arguments, "--model", str(weights)]) == 0
    metrics = json.loads((scores / "metrics.json").read_text())
    assert metrics["n"] == 2
    assert 0 <= metrics["mean"]["strict_miou"] <= 100
    assert (scores / "labels" / "scene000.png").is_file()


@pytest.mark.parametrize(
    ("override", "named"),
    [("stepz=3", "stepz"), ("data.pool.colour=1", "colour"), ("steps=many", "steps")],
)
def test_a_wrong_key_or_value_is_one_line(
    override: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = share_dir() / "config" / "experiments" / "smoke.yaml"
    assert main(["train", str(config), "--out", str(tmp_path), "--set", override]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert named in error[0]
