"""``repsam benchmark`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from repsam_ros.cli.main import main
from repsam_ros.images import write_png


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    """A roots file of an mOSD folder with two frames of two objects."""
    labels = np.ones((48, 64), np.uint16)
    labels[10:30, 5:25], labels[10:30, 30:50] = 20, 31
    for name in ("a", "b"):
        write_png(tmp_path / "data" / "rgb" / f"{name}.png", np.full((48, 64, 3), 90, np.uint8))
        write_png(tmp_path / "data" / "depth" / f"{name}.png", np.full((48, 64), 800, np.uint16))
        write_png(tmp_path / "data" / "label" / f"{name}.png", labels)
    path = tmp_path / "roots.yaml"
    path.write_text("mosd: data\n")
    return path


def run_benchmark(roots: Path, *more: str) -> int:
    out = str(roots.parent / "out")
    return main(
        ["benchmark", "--roots", str(roots), "--methods", "repsam_tiny", "--out", out, *more]
    )


def test_table_is_printed_and_written(roots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("--set", "bootstrap.samples=20", "--set", "run.pipeline.max_prompts=5")
    assert run_benchmark(roots, "--frames", "1", *settings) == 0
    printed = capsys.readouterr()
    out = roots.parent / "out"
    assert (out / "benchmark.md").read_text() in printed.out and printed.err == ""
    assert "| `repsam_tiny` | oracle point | 1 |" in printed.out
    content = json.loads((out / "benchmark.json").read_text())
    assert content["config"] == yaml.safe_load((out / "config.yaml").read_text())
    assert content["config"]["run"]["pipeline"]["max_prompts"] == 5
    assert [cell["metrics"].get("n") for cell in content["cells"]] == [1, 1, 1, 1]


def test_broken_data_set_is_named_in_one_line_after_the_table(
    roots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    roots.write_text("mosd: data\nocid: absent\n")
    assert run_benchmark(roots, "--set", "bootstrap.samples=20") == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("repsam: error: ocid: ") and "absent: no such" in printed.err
    assert "| `repsam_tiny` | automatic | 2 |" in printed.out
    assert "Failed: " in printed.out
    assert (roots.parent / "out" / "benchmark.json").is_file()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--frames", "0"), "frames must be at least 1"),
        (("--methods", "nope"), "nope"),
        (("--set", "frame=3"), "unknown key frame"),
        (("--set", "roots.mosd.split=val"), "mosd: unknown split 'val'; there are: test"),
    ],
)
def test_bad_settings_are_named_in_one_line(
    roots: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    assert run_benchmark(roots, *more) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert not (roots.parent / "out" / "benchmark.json").exists()
