"""The experiment end to end, in its smallest preset."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from repsam_ros.adaptation.ablation.config import AblationConfig, ArmSettings
from repsam_ros.adaptation.ablation.experiment import ablate
from repsam_ros.adaptation.ablation.plan import PlannedRun
from repsam_ros.adaptation.ablation.results import RunResult
from repsam_ros.adaptation.ablation.trial import Trial, run_trial
from repsam_ros.config import load_config
from repsam_ros.errors import ConfigError
from repsam_ros.images import write_png
from repsam_ros.paths import share_dir


@pytest.fixture(scope="module")
def config() -> AblationConfig:
    return load_config(AblationConfig, share_dir() / "config" / "ablation" / "smoke.yaml")


@pytest.fixture(scope="module")
def finished(config: AblationConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ablation")
    ablate(config, out, device="cpu")
    return out


def content(out: Path) -> dict[str, Any]:
    """The report without what a clock says."""
    found: dict[str, Any] = json.loads((out / "ablation.json").read_text())
    for run in found["runs"]:
        del run["seconds"]
    return found


def test_every_planned_run_is_in_the_report(config: AblationConfig, finished: Path) -> None:
    report = content(finished)
    assert not report["missing"] and not report["unplanned"]
    keys = {run["key"] for run in report["runs"]}
    assert {"uniform-r1-rgbd-s1", "random_0-r1-rgbd-s0", "uniform-r2-rgb-s0"} <= keys
    assert len(keys) == sum(arm.seeds for arm in config.arms)
    words = [one["word"] for one in report["verdict"]["definitions"]]
    # So few ranks are dealt out alike, and the other definition has a single seed.
    assert words == ["not judged", "not judged"]
    assert "its ranks are those of uniform" in report["verdict"]["definitions"][0]["reason"]
    page = (finished / "ablation.md").read_text()
    assert report["verdict"]["definitions"][0]["sentence"] in page
    for run in report["runs"]:
        assert run["images"] == {"simulated": config.test.scenes}
        assert run["learning_rate"] == report["about"]["learning_rates"]["adapters"]
    tuned = report["about"]["tuning"]["adapters"]
    assert sorted(float(rate) for rate in tuned) == [0.001, 0.002]
    cka = report["about"]["cka"]
    assert all(len(cka[name]["tokens"]["cka"]) == 8 for name in ("paired", "finetuned"))


def test_an_interrupted_experiment_ends_as_an_unbroken_one(
    config: AblationConfig, finished: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(finished, broken)
    for name in ("ablation.json", "ablation.md", "runs/uniform-r1-rgbd-s1.json"):
        (broken / name).unlink()
    kept = sorted(path.stat().st_mtime_ns for path in (broken / "runs").iterdir())
    ablate(config, broken, device="cpu", cluster="local:1")
    assert content(broken)["runs"] == content(finished)["runs"]
    assert content(broken)["verdict"] == content(finished)["verdict"]
    again = sorted(path.stat().st_mtime_ns for path in (broken / "runs").iterdir())
    assert set(kept) < set(again) and len(again) == len(kept) + 1


def test_another_experiment_is_refused_and_more_seeds_are_not(
    config: AblationConfig, finished: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="holds another experiment.*alpha_per_rank"):
        ablate(replace(config, alpha_per_rank=2.0), finished, device="cpu")
    grown = tmp_path / "grown"
    shutil.copytree(finished, grown)
    more = replace(config, arms=(*config.arms, ArmSettings("none", (1,), 1)))
    ablate(more, grown, device="cpu")
    report = content(grown)
    assert "none-r1-rgbd-s0" in {run["key"] for run in report["runs"]} and not report["missing"]
    (none,) = (run for run in report["runs"] if run["arm"] == "none")
    assert none["adapter_params"] == 0 and none["trainable_params"] == 54962 + 366056


def test_a_result_of_another_plan_is_refused(
    config: AblationConfig, finished: Path, tmp_path: Path
) -> None:
    stale = tmp_path / "stale"
    shutil.copytree(finished, stale)
    path = stale / "runs" / "uniform-r1-rgbd-s0.json"
    path.write_text(path.read_text().replace('"learning_rate": ', '"learning_rate": 1'))
    with pytest.raises(
        ConfigError, match=r"uniform-r1-rgbd-s0\.json is the result of another plan"
    ):
        ablate(config, stale, device="cpu")


def without_depth(frames: Path, out: Path) -> Path:
    shutil.copytree(frames, out)
    for path in (out / "depth").rglob("*.png"):
        depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        write_png(path, np.zeros_like(depth))
    return out


@pytest.mark.parametrize("fusion", [False, True])
def test_only_a_run_with_fusion_sees_depth(
    fusion: bool, config: AblationConfig, finished: Path, tmp_path: Path
) -> None:
    frames = finished / "frames" / "simulated"
    blind = without_depth(frames, tmp_path / "blind")
    run = PlannedRun("uniform", 1, fusion, 7, "repsam", (1,) * 8)
    data = config.train.data
    assert data.pool is not None
    pool = replace(data.pool, folder=str(finished / "pool"))
    # Enough of a step for fusion to be heard, and every prompt counts.
    train = replace(config.train, steps=3, data=replace(data, pool=pool), depth_dropout=0.0)
    pipeline = replace(config.pipeline, min_prompt_score=0.0, max_prompts=5)
    masks = replace(pipeline.masks, min_score=0.0, mask_threshold=0.0)
    changed = replace(config, train=train, pipeline=replace(pipeline, masks=masks))
    changed = replace(changed, parts=("prompt_head", "geometric_prompt", "mask_detail"))
    torch.manual_seed(0)
    trial = Trial(changed, run, 0.01, {"seen": frames, "blind": blind}, False, "cpu")
    result: RunResult = run_trial(trial)
    same = result.scores["seen"].values == result.scores["blind"].values
    assert same != fusion
