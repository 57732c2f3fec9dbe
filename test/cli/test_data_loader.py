"""``repsam data loader``: measures and writes what it measured."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from repsam_ros.cli import _data_loader
from repsam_ros.errors import ConfigError
from repsam_ros.images import write_png


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    _data_loader.add_arguments(parser)
    return _data_loader.run(parser.parse_args(arguments))


def test_the_measured_speed_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = tmp_path / "data", tmp_path / "out"
    images = {"rgb": np.zeros((48, 64, 3), np.uint8), "depth": np.full((48, 64), 900, np.uint16)}
    for folder, image in {**images, "label": np.full((48, 64), 20, np.uint16)}.items():
        write_png(root / folder / "a.png", image)
    options = ["--workers", "0", "--batch", "2", "--batches", "2", "--runs", "3"]
    assert run("mosd", str(root), *options, "--out", str(out)) == 0
    result = json.loads((out / "loader.json").read_text())
    speed = result["frames_per_second"]
    assert len(speed["all"]) == 3 and speed["best"] == max(speed["all"]) > 0
    assert speed["median"] == sorted(speed["all"])[1]
    assert (result["dataset"], result["workers"], result["frames_per_run"]) == ("mosd", 0, 4)
    assert f"{speed['best']:.1f} frames/s" in capsys.readouterr().out


def test_no_runs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--runs"):
        run("mosd", str(tmp_path), "--runs", "0")
