"""A run in one process, in two, killed on the way, or of something else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from repsam_ros.cli.main import main
from repsam_ros.config import to_plain
from repsam_ros.errors import ConfigError
from repsam_ros.trials.configuration import TrialsConfig
from repsam_ros.trials.report import write_report
from repsam_ros.trials.runner import collect_trials, run_trials

Make = Callable[..., TrialsConfig]


def test_a_killed_run_in_two_processes_ends_with_the_table_of_one(
    tiny: Make, tmp_path: Path
) -> None:
    config = tiny(scenes=4)
    path = tmp_path / "trials.yaml"
    path.write_text(yaml.safe_dump(to_plain(config)))
    command = [sys.executable, "-m", "repsam_ros.cli.main", "trials", str(path)]
    command += ["--out", str(tmp_path / "killed"), "--processes", "2"]
    _run_and_kill(command, tmp_path / "killed" / "scenes")
    assert not (tmp_path / "killed" / "attempts.csv").exists()
    collect_trials(config, tmp_path / "killed")
    assert "Incomplete: " in _reported(config, tmp_path / "killed")
    before = {
        each: each.stat().st_mtime_ns
        for each in (tmp_path / "killed" / "scenes").glob("[!.]*.json")
    }
    assert 0 < len(before) < 4
    subprocess.run(command, check=True, capture_output=True)
    assert {each: each.stat().st_mtime_ns for each in before} == before
    run_trials(config, tmp_path / "whole")
    whole = (tmp_path / "whole" / "attempts.csv").read_bytes()
    assert (tmp_path / "killed" / "attempts.csv").read_bytes() == whole
    assert "Incomplete" not in _reported(config, tmp_path / "killed")
    assert len(whole.splitlines()) == 1 + 4 * len(config.variants)


def _reported(config: TrialsConfig, out: Path) -> str:
    write_report(config, out)
    return (out / "report.md").read_text()


def _run_and_kill(command: list[str], scenes: Path) -> None:
    """Kills a run and its workers as soon as a scene is done."""
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not list(scenes.glob("[!.]*.json")):
        assert process.poll() is None, "ended before a scene was done"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_other_objects_are_refused(tiny: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="objects_sha256: the set of objects has"):
        run_trials(tiny(objects_sha256="0" * 64), tmp_path)
    assert not list(tmp_path.iterdir())


def test_results_of_another_plan_are_refused_but_more_scenes_are_not(
    tiny: Make, tmp_path: Path
) -> None:
    rows = run_trials(tiny(scenes=1), tmp_path)
    more = run_trials(tiny(scenes=2), tmp_path)
    assert more[: len(rows)] == rows and len(more) == 2 * len(rows)
    with pytest.raises(ConfigError, match=r"another plan, remove it: config\.secondary"):
        run_trials(tiny(scenes=2, secondary=[]), tmp_path)


def test_command_writes_tables_films_and_report(
    tiny: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Networks, too; their weights are named by their hash."""
    learned = {"name": "exact", "model": "oracle", "planner": "learned"}
    variants = [{"name": "net", "model": "repsam_tiny"}, learned]
    config = tiny(scenes=1, variants=variants, primary=None, secondary=[], examples=1)
    (tmp_path / "trials.yaml").write_text(yaml.safe_dump(to_plain(config)))
    out = tmp_path / "out"
    arguments = ["trials", str(tmp_path / "trials.yaml"), "--out", str(out)]
    assert main(arguments) == 0
    assert "no primary comparison" in capsys.readouterr().out
    about = yaml.safe_load((out / "config.yaml").read_text())
    assert list(about["models_sha256"]) == ["net", "planner of exact"]
    films = list((out / "examples").iterdir())
    assert films and all(film.read_bytes()[8:12] == b"WEBP" for film in films)
    html, markdown = (out / "report.html").read_text(), (out / "report.md").read_text()
    assert all(f"examples/{film.name}" in page for film in films for page in (html, markdown))
    kept = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert main([*arguments, "--report-only"]) == 0
    assert {path: path.read_bytes() for path in kept} == kept
    assert json.loads((out / "trials.json").read_text())["attempts"] == 2
