"""``repsam compare`` as a user calls it, on folders that ``repsam eval`` wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from repsam_ros.cli.main import main
from repsam_ros.images import write_png

NAMES = [f"frame{k}" for k in range(6)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Evaluations of six frames: A finds one of two objects, B both."""
    folder = tmp_path_factory.mktemp("runs")
    for name in NAMES:
        labels = np.ones((48, 64), np.uint16)
        labels[10:30, 5:25] = 20
        labels[10:30, 30:50] = 31
        write_png(folder / "data" / "rgb" / f"{name}.png", np.full((48, 64, 3), 90, np.uint8))
        write_png(folder / "data" / "depth" / f"{name}.png", np.full((48, 64), 800, np.uint16))
        write_png(folder / "data" / "label" / f"{name}.png", labels)
        write_png(folder / "b" / f"{name}.png", labels // 10)
        write_png(folder / "a" / f"{name}.png", np.where(labels == 20, 2, 0).astype(np.uint16))
    for run in "ab":
        arguments = ["--dataset", "mosd", "--root", str(folder / "data")]
        arguments += ["--labels", str(folder / run), "--out", str(folder / f"eval_{run}")]
        assert main(["eval", *arguments, "--set", "bootstrap.samples=20"]) == 0
    return str(folder / "eval_a"), str(folder / "eval_b")


def test_better_run_wins(
    runs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["compare", *runs, "--out", str(out), "--margin", "2"]) == 0
    printed = capsys.readouterr()
    assert "Overlap R" in printed.out and "6/0" in printed.out
    assert "within 2 points" in printed.out
    assert printed.err == ""
    content = json.loads((out / "compare.json").read_text())
    row = content["scores"]["overlap_r"]
    assert (row["mean_a"], row["mean_b"], row["difference"]) == (50, 100, 50)
    assert row["p"] == pytest.approx(2 / 2**6)
    assert content["config"]["margin"] == 2
    assert (out / "compare.md").is_file()


def test_nothing_is_written_without_out(
    runs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(Path(runs[0]).parent.rglob("*"))
    assert main(["compare", *runs, "--set", "bootstrap.samples=10"]) == 0
    assert "written" not in capsys.readouterr().out
    assert sorted(Path(runs[0]).parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--margin", "0"), "margin must be positive"),
        (("--set", "bootstrap.sample=3"), "unknown key sample"),
    ],
)
def test_bad_settings_are_named_in_one_line(
    runs: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    message: str,
) -> None:
    assert main(["compare", *runs, *more]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_other_frames_are_refused_in_one_line(
    runs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (Path(runs[1]) / "per_image.csv").read_text().splitlines()
    (tmp_path / "per_image.csv").write_text("\n".join(lines[:-1]) + "\n")
    assert main(["compare", runs[0], str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert f"only in {runs[0]}: frame5" in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()
