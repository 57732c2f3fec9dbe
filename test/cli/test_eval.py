"""``repsam eval`` as a user calls it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from repsam_ros.cli.main import main
from repsam_ros.images import read_labels, write_png

NAMES = ("b10", "b2")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An mOSD folder of two 64x48 frames with two objects."""
    folder = tmp_path / "data"
    for k, name in enumerate(NAMES):
        labels = np.ones((48, 64), np.uint16)
        labels[:4] = 0
        labels[10:30, 5 + k : 25] = 20
        labels[10:30, 30:50] = 31
        write_png(folder / "rgb" / f"{name}.png", np.full((48, 64, 3), 90, np.uint8))
        write_png(folder / "depth" / f"{name}.png", np.where(labels, 800, 0).astype(np.uint16))
        write_png(folder / "label" / f"{name}.png", labels)
    return folder


def run_eval(root: Path, *more: str) -> int:
    return main(["eval", "--dataset", "mosd", "--root", str(root), *more])


def test_given_label_maps(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = tmp_path / "maps"
    for name in NAMES:
        write_png(maps / f"{name}.png", read_labels(root / "label" / f"{name}.png") // 10)
    out = tmp_path / "out"
    code = run_eval(root, "--labels", str(maps), "--out", str(out), "--set", "bootstrap.samples=20")
    assert code == 0
    printed = capsys.readouterr()
    assert "Overlap F" in printed.out and "100.0" in printed.out
    assert printed.err == ""
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["mean"]["overlap_f"] == metrics["mean"]["strict_miou"] == 100
    assert metrics["n"] == 2
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["bootstrap"] == {"samples": 20, "seed": 0}
    assert config == metrics["config"]
    assert (out / "report.html").is_file() and (out / "per_image.csv").is_file()
    assert sorted(path.stem for path in (out / "labels").iterdir()) == list(NAMES)


def test_frames_in_folders_are_scored_against_maps_in_folders(tmp_path: Path) -> None:
    """OCID keeps frames of equal names in many folders."""
    sequences = ("ARID20/floor/top/seq01", "ARID20/table/bottom/seq01")
    data, maps, out = tmp_path / "OCID-dataset", tmp_path / "maps", tmp_path / "out"
    truth = np.ones((48, 64), np.uint16)
    truth[10:30, 10:30] = 3
    for sequence in sequences:
        write_png(data / sequence / "rgb" / "a.png", np.full((48, 64, 3), 90, np.uint8))
        write_png(data / sequence / "depth" / "a.png", np.full((48, 64), 800, np.uint16))
        write_png(data / sequence / "label" / "a.png", truth)
        write_png(maps / sequence / "a.png", np.where(truth == 3, 1, 0).astype(np.uint16))
    arguments = ["--dataset", "ocid", "--root", str(tmp_path), "--split", "test"]
    arguments += ["--labels", str(maps), "--out", str(out), "--set", "bootstrap.samples=20"]
    assert main(["eval", *arguments]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["n"], metrics["mean"]["overlap_f"]) == (2, 100)
    assert all((out / "labels" / sequence / "a.png").is_file() for sequence in sequences)
    assert f"{sequences[1]}/a," in (out / "per_image.csv").read_text()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", "maps: no label map named b10"),
        ("size", "b10.png: expected 64x48 pixels"),
        ("truncated", "b10.png: truncated PNG"),
        ("color", "b10.png: expected a label map of one channel"),
    ],
)
def test_bad_label_maps_are_named_in_one_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, message: str
) -> None:
    maps = tmp_path / "maps"
    for name in NAMES:
        write_png(maps / f"{name}.png", np.zeros((48, 64), np.uint16))
    path = maps / "b10.png"
    if damage == "missing":
        path.unlink()
    elif damage == "size":
        write_png(path, np.zeros((24, 32), np.uint16))
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        cv2.imwrite(str(path), np.zeros((48, 64, 3), np.uint8))
    assert run_eval(root, "--labels", str(maps), "--out", str(tmp_path / "out")) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert not (tmp_path / "out" / "metrics.json").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--set", "bootstrap.sample=3"), "unknown key sample"),
        (("--set", "bootstrap.samples=0"), "samples must be at least 1"),
        (("--set", "nonsense"), "expected KEY=VALUE"),
        (("--see", "rgb"), "unknown key see"),
        (("--model", "x"), "unknown key model"),
    ],
)
def test_bad_settings_are_named_in_one_line(
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    message: str,
) -> None:
    out = str(tmp_path / "out")
    assert run_eval(root, "--labels", str(root / "label"), "--out", out, *more) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_split_is_kept_and_unknown_splits_are_named(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maps = ("--labels", str(root / "label"), "--out", str(tmp_path / "out"))
    assert run_eval(root, *maps, "--split", "test", "--set", "bootstrap.samples=20") == 0
    config = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert config["split"] == "test"
    capsys.readouterr()
    assert run_eval(root, *maps, "--split", "train") == 2
    assert "unknown split 'train' of mosd; there are: test" in capsys.readouterr().err


def test_an_unknown_modality_lists_what_there_is(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_eval(root, "--see", "infrared", "--out", str(tmp_path / "out")) == 2
    assert "see must be one of rgbd, rgb, depth, got 'infrared'" in capsys.readouterr().err


def test_unknown_data_set_lists_what_exists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--dataset", "nope", "--root", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(["eval", *arguments, "--labels", str(tmp_path)]) == 2
    assert "mosd" in capsys.readouterr().err


def test_the_shipped_pipeline_is_scored(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run_eval(root, "--out", str(out), "--set", "bootstrap.samples=20") == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert len(metrics["subject"]["model_sha256"]) == 64
    assert metrics["latency_ms"]["p50"] > 0
    assert metrics["config"]["model"] == "repsam_tiny"
    assert read_labels(out / "labels" / "b2.png").shape == (48, 64)
    assert "latency p50" in capsys.readouterr().out


@pytest.mark.parametrize("see", ["rgb", "depth"])
def test_a_modality_can_be_left_out(root: Path, tmp_path: Path, see: str) -> None:
    folder, value = ("depth", 0) if see == "rgb" else ("rgb", 115)
    lost = tmp_path / "lost"
    shutil.copytree(root, lost)
    for path in (lost / folder).iterdir():
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        write_png(path, np.full_like(pixels, value))
    # Low thresholds, so that something is found in these plain frames.
    low = ("--set", "pipeline.min_prompt_score=0.0", "--set", "pipeline.masks.min_score=0.0")
    low = (*low, "--set", "pipeline.masks.mask_threshold_without_depth=-2.0")
    options = (*low, "--set", "bootstrap.samples=20", "--set", "pipeline.max_prompts=5")
    for name, folder, more in (
        ("whole", root, ()),
        ("left_out", root, ("--see", see)),
        ("lost", lost, ()),
    ):
        assert run_eval(folder, "--out", str(tmp_path / name), *options, *more) == 0
    maps = {
        name: read_labels(tmp_path / name / "labels" / "b2.png")
        for name in ("whole", "left_out", "lost")
    }
    assert maps["left_out"].any() and np.array_equal(maps["left_out"], maps["lost"])
    assert not np.array_equal(maps["left_out"], maps["whole"])
    metrics = json.loads((tmp_path / "left_out" / "metrics.json").read_text())
    assert metrics["config"]["see"] == see
