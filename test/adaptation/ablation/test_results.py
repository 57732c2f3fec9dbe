"""Results of runs survive the disk; broken ones are refused with their file's name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from repsam_ros.adaptation.ablation.results import RunResult
from repsam_ros.adaptation.image_scores import Scores
from repsam_ros.adaptation.kept_runs import read_result, write_result
from repsam_ros.errors import ConfigError, DatasetError, RepsamError

MakeRun = Callable[..., RunResult]


def test_round_trip_is_exact(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run("random_2", 7, 1 / 3, datasets=("simulated", "real"))
    write_result(tmp_path / "deep" / "result.json", run)
    assert read_result(RunResult, tmp_path / "deep" / "result.json") == run
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["result.json"]


def test_key_names_the_run(make_run: MakeRun) -> None:
    run = make_run("uniform", 0)
    assert run.key == "uniform-r4-rgbd-s0"
    assert replace(run, fusion=False, seed=12, mean_rank=16).key == "uniform-r16-rgb-s12"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("steps"), "steps"),
        (lambda content: content.update(steps="many"), "steps"),
        (lambda content: content.update(extra=1), "extra"),
        (lambda content: content["scores"]["simulated"]["scenes"].pop(), "scenes"),
        (lambda content: content["scores"]["simulated"]["values"].update(iou=[]), "'iou'"),
        (lambda content: content["scores"]["simulated"]["names"].__setitem__(0, "0_1"), "0_1"),
    ],
)
def test_broken_content_is_refused(
    tmp_path: Path, make_run: MakeRun, change: Callable[[dict[str, object]], object], message: str
) -> None:
    path = tmp_path / "result.json"
    write_result(path, make_run("cka", 1))
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(RepsamError, match=message) as caught:
        read_result(RunResult, path)
    assert str(path) in str(caught.value)


def test_unreadable_files_are_refused(tmp_path: Path, make_run: MakeRun) -> None:
    path = tmp_path / "result.json"
    with pytest.raises(DatasetError, match=r"result\.json: No such file"):
        read_result(RunResult, path)
    write_result(path, make_run("cka", 1))
    path.write_text(path.read_text()[:-20])
    with pytest.raises(DatasetError, match=r"result\.json: not JSON"):
        read_result(RunResult, path)
    path.write_text("[]")
    with pytest.raises(DatasetError, match=r"result\.json: not the result"):
        read_result(RunResult, path)
    path.write_text("{}")
    with pytest.raises(ConfigError, match=r"result\.json"):
        read_result(RunResult, path)


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(DatasetError, match="strict_miou is not finite"):
        Scores(("a", "b"), ("", ""), {"strict_miou": (1.0, float("nan"))})
    with pytest.raises(DatasetError, match="no images"):
        Scores((), (), {})
