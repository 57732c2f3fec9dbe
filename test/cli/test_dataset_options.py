"""``--option`` of the commands that open a data set: a root with frames of one camera alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.io import savemat

from repsam_ros.cli.main import main
from repsam_ros.images import write_png

MATRIX = np.array([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]])
KINECT = ("--option", "camera=kinect")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """GraspNet with one view, by the Kinect."""
    folder = tmp_path / "graspnet" / "scenes" / "scene_0100" / "kinect"
    labels = np.zeros((48, 64), np.uint8)
    labels[10:30, 10:30] = 5
    write_png(folder / "rgb" / "0000.png", np.full((48, 64, 3), 90, np.uint8))
    write_png(folder / "depth" / "0000.png", np.full((48, 64), 600, np.uint16))
    write_png(folder / "label" / "0000.png", labels)
    (folder / "meta").mkdir()
    savemat(folder / "meta" / "0000.mat", {"factor_depth": np.array([[1000.0]])})
    np.save(folder / "camK.npy", MATRIX)
    write_png(tmp_path / "maps" / "scene_0100" / "0000.png", labels)
    return tmp_path / "graspnet"


def test_eval_keeps_the_option_in_its_config(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = ("eval", "--dataset", "graspnet", "--root", str(root), "--out", str(out))
    maps = ("--labels", str(tmp_path / "maps"), "--set", "bootstrap.samples=20")
    assert main([*given, *maps]) == 2
    assert main([*given, *maps, *KINECT]) == 0
    assert json.loads((out / "metrics.json").read_text())["mean"]["overlap_f"] == 100
    assert yaml.safe_load((out / "config.yaml").read_text())["options"] == {"camera": "kinect"}
    assert main([*given, *maps, "--set", "options.camera=kinect"]) == 0


@pytest.mark.parametrize(
    "command",
    [
        ("data", "check", "graspnet", "ROOT", "--split", "test_seen"),
        ("data", "depth", "graspnet", "ROOT"),
        (
            "data",
            "loader",
            "graspnet",
            "ROOT",
            "--workers=0",
            "--batch=1",
            "--batches=1",
            "--runs=1",
        ),
        ("bag", "make", "--dataset", "graspnet", "--root", "ROOT"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_every_command_that_opens_a_data_set_takes_it(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    given = [str(root) if word == "ROOT" else word for word in command]
    given += ["--out", str(tmp_path / "out")]
    assert main(given) == 2
    assert main([*given, *KINECT]) == 0
    capsys.readouterr()
    assert main([*given, "--option", "lens=wide"]) == 2
    assert "unknown option 'lens' of graspnet; there are: camera" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*given, "--option", "camera"])
    assert "expected KEY=VALUE" in capsys.readouterr().err
