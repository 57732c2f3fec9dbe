"""``repsam simulate`` from the command line to samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from repsam_ros.cli.main import main
from repsam_ros.datasets import open_dataset
from repsam_ros.images import read_color

SMALL = ["--scenes", "2", "--seed", "4", "--views", "1", "--size", "64x48"]
QUICK = ["--set", "scene.kinds={packed: 1, stack: 0, pile: 0, single: 0, bin: 0, shelf: 0}"]


def test_a_data_set_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["simulate", *SMALL, *QUICK, "--config", "glass", "--out", str(out)]
    assert main([*command, "--twins", "opaque,light"]) == 0
    printed = capsys.readouterr().out
    assert "2 frames, " in printed and "a minute" in printed
    assert len(open_dataset("simulated", out)) == 2
    assert read_color(out / "contact_sheet.png").shape == (240, 6 * 320, 3)
    card = (out / "card.md").read_text()
    assert "2 frames of 64x48 pixels" in card and "`realsense`" in card and "opaque, light" in card
    # The resolved config alone makes the same again.
    again = tmp_path / "again"
    assert main(["simulate", "--config", str(out / "config.yaml"), "--out", str(again)]) == 0
    for path in out.rglob("*.*"):
        assert path.read_bytes() == (again / path.relative_to(out)).read_bytes(), path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--renderer", "blender"], "unknown renderer 'blender'"),
        (["--config", "kitchen"], "unknown preset 'kitchen'"),
        (["--set", "scene.weather=rain"], "unknown key"),
        (["--max-gigabytes", "1e-6"], "--max-gigabytes"),
    ],
)
def test_what_cannot_be_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["simulate", *SMALL, *QUICK, *options, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_missing_numbers_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--seed", "1", "--out", str(tmp_path)]) == 2
    assert "scenes" in capsys.readouterr().err


def test_a_size_needs_two_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["simulate", "--size", "640", "--out", "x"])
    assert "WIDTHxHEIGHT" in capsys.readouterr().err
