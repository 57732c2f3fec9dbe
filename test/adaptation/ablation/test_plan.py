"""Runs of the ablation differ in what the arms differ in, and in nothing else."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repsam_ros.adaptation.ablation.config import AblationConfig
from repsam_ros.adaptation.ablation.plan import (
    PlannedRun,
    first_of_same,
    needed_comparisons,
    plan_runs,
)
from repsam_ros.adaptation.ablation.trial import Trial, training_config
from repsam_ros.config import load_config
from repsam_ros.errors import ConfigError
from repsam_ros.paths import share_dir

FOLDER = share_dir() / "config" / "ablation"
COSTS = (1152,) * 8
CKA = {
    "paired": np.array([0.0, 0.0, 0.02, 0.08, 0.2, 0.3, 0.31, 0.32]),
    "finetuned": np.array([0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4]),
    "covariance": np.linspace(0.3, 0.9, 8),
}


def arms(*lines: dict[str, Any]) -> AblationConfig:
    changes = [f"arms={list(lines)}".replace("True", "true").replace("False", "false")]
    return load_config(AblationConfig, FOLDER / "cpu.yaml", changes)


def trial(config: AblationConfig, run: PlannedRun, rate: float = 1e-3) -> Trial:
    return Trial(config, run, rate, {}, False, "cpu")


def test_the_shipped_experiment_is_the_cut_that_was_promised() -> None:
    """Arms, budgets and seeds of the falsification experiment at compact scale."""
    config = load_config(AblationConfig, FOLDER / "cpu.yaml")
    runs = plan_runs(config, COSTS, CKA)
    counts: dict[tuple[str, int, bool], int] = {}
    for run in runs:
        key = (run.arm, run.mean_rank, run.fusion)
        counts[key] = counts.get(key, 0) + 1
    for arm in ("uniform", "cka", "random_0", "random_1", "random_2"):
        assert counts[arm, 4, True] == 10 and counts[arm, 1, True] == 5
    for arm in ("finetuned", "reversed"):
        assert counts[arm, 4, True] == 5 and counts[arm, 1, True] == 5
    assert counts["uniform", 4, False] == counts["cka", 4, False] == 10
    assert needed_comparisons(config) == ("paired", "finetuned")
    first = runs[: 10 * 5 + 5]
    assert {(run.mean_rank, run.fusion) for run in first} == {(4, True)}
    assert [run.seed for run in first] == sorted(run.seed for run in first)


def test_arms_of_one_budget_spend_the_same_and_differ_in_ranks_only() -> None:
    names = ["uniform", "cka", "finetuned", "covariance", "reversed", "random", "early", "late"]
    names += ["gamma_0.5", "gamma_2"]
    config = arms(*({"arm": name, "mean_ranks": [2, 4], "seeds": 1} for name in names))
    runs = plan_runs(config, COSTS, CKA)
    assert len(runs) == 2 * (len(names) + 2)
    for run in runs:
        assert sum(run.ranks) == 8 * run.mean_rank, run
    trainings = [asdict(training_config(trial(config, run))) for run in runs]
    for training in trainings:
        del training["options"]["ranks"]
    assert all(training == trainings[0] for training in trainings)
    assert len({run.ranks for run in runs}) > 8


def test_seeds_change_the_seed_only() -> None:
    config = arms({"arm": "uniform", "mean_ranks": [4], "seeds": 3})
    configs = [training_config(trial(config, run)) for run in plan_runs(config, COSTS, {})]
    assert [one.seed for one in configs] == [0, 1, 2]
    assert len({str(asdict(replace(one, seed=0))) for one in configs}) == 1


@pytest.mark.parametrize("arm", ["uniform", "none", "full_finetuning"])
def test_a_run_without_fusion_trains_no_fusion_and_loses_all_depth(arm: str) -> None:
    config = arms({"arm": arm, "mean_ranks": [4], "seeds": 1, "fusion": [True, False]})
    with_depth, without = (
        training_config(trial(config, run)) for run in plan_runs(config, COSTS, {})
    )
    assert "fusion" in with_depth.options["parts"]
    assert set(with_depth.options["parts"]) - set(without.options["parts"]) == {"fusion"}
    assert (without.depth_dropout, without.color_dropout) == (1.0, 0.0)
    assert with_depth.depth_dropout < 1


def test_blocks_alone_and_methods_of_their_own() -> None:
    lines = [{"arm": name, "mean_ranks": [3], "seeds": 1} for name in ("block", "eva", "gradient")]
    runs = {run.arm: run for run in plan_runs(arms(*lines), COSTS, {})}
    assert runs["block_2"].ranks == (0, 0, 3, 0, 0, 0, 0, 0)
    assert len([name for name in runs if name.startswith("block_")]) == 8
    for name in ("eva", "gradient"):
        options = training_config(trial(arms(*lines), runs[name])).options
        assert runs[name].method == name and options["rank"] == 3 and "ranks" not in options


def test_equal_ranks_share_a_run_of_the_same_seed_and_input() -> None:
    flat = {"paired": np.full(8, 0.5)}
    config = arms(
        {"arm": "uniform", "mean_ranks": [4], "seeds": 2, "fusion": [True, False]},
        {"arm": "cka", "mean_ranks": [4], "seeds": 2},
        {"arm": "none", "mean_ranks": [4], "seeds": 1},
        {"arm": "eva", "mean_ranks": [4], "seeds": 1},
    )
    runs = plan_runs(config, COSTS, flat)
    first = {run.key: one.key for run, one in first_of_same(runs).items()}
    assert first["cka-r4-rgbd-s1"] == "uniform-r4-rgbd-s1"
    assert first["uniform-r4-rgb-s0"] == "uniform-r4-rgb-s0"
    assert first["none-r4-rgbd-s0"] == "none-r4-rgbd-s0"
    assert first["eva-r4-rgbd-s0"] == "eva-r4-rgbd-s0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.learning_rate=0.5", "train.learning_rate is the experiment's"),
        ("train.seed=3", "train.seed is the experiment's"),
        ("train.data.pool.scene_seed=99999999", "scenes from 100000000 on"),
        ("arms=[{arm: best, mean_ranks: [1], seeds: 1}]", "unknown arm 'best'"),
        ("arms=[{arm: cka, mean_ranks: [], seeds: 1}]", "must not be empty"),
        ("validation.seed=901", "test and validation must differ"),
        ("cka.rows=patches", "unknown row definition 'patches'"),
        ("modules=[qvk]", "unknown module 'qvk'"),
    ],
)
def test_what_would_mislead_is_refused(change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(AblationConfig, FOLDER / "cpu.yaml", [change])


def test_a_run_planned_twice_is_named() -> None:
    line = {"arm": "uniform", "mean_ranks": [4], "seeds": 1}
    with pytest.raises(ConfigError, match="uniform-r4-rgbd-s0 is planned twice"):
        plan_runs(arms(line, line), COSTS, {})


def test_folders_of_presets_exist() -> None:
    assert {path.stem for path in Path(FOLDER).glob("*.yaml")} == {"smoke", "cpu", "gpu"}
