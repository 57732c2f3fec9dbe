"""Planted effects are found, planted zeros are called so, and noise settles nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from repsam_ros.adaptation.ablation.results import RunResult
from repsam_ros.adaptation.ablation.verdict import (
    DefinitionVerdict,
    Verdict,
    VerdictSettings,
    judge,
)
from repsam_ros.errors import ConfigError
from repsam_ros.metrics.statistics import BootstrapSettings

MakeRuns = Callable[..., list[RunResult]]
SETTINGS = VerdictSettings(bootstrap=BootstrapSettings(samples=400))
RANDOM = ("random_0", "random_1", "random_2")


def arms(cka: float, uniform: float = 0.0, random: float = 0.0) -> dict[str, float]:
    return {"cka": cka, "uniform": uniform, **dict.fromkeys(RANDOM, random)}


def paired(runs: list[RunResult]) -> DefinitionVerdict:
    (verdict,) = judge(runs, SETTINGS).definitions
    return verdict


@pytest.mark.parametrize(
    ("gains", "noise", "word", "reason"),
    [
        (arms(2.0), 0.2, "supported", "better than both"),
        (arms(0.2), 0.02, "supported", "better than both, though within 0.5 points of both"),
        (arms(0.0), 0.2, "falsified", "within 0.5 points of both"),
        (arms(-2.0), 0.2, "falsified", "worse than uniform and the mean of 3 random allocations"),
        (arms(0.0, uniform=-2, random=2), 0.2, "falsified", "worse than the mean of 3 random"),
        (arms(0.0, uniform=2, random=-2), 0.2, "falsified", "worse than uniform"),
        (arms(2.0, random=2), 0.2, "inconclusive", "neither better than both nor"),
        (arms(0.5), 4.0, "inconclusive", "neither better than both nor shown to be within"),
    ],
)
def test_known_answers(
    make_runs: MakeRuns, gains: dict[str, float], noise: float, word: str, reason: str
) -> None:
    found = paired(make_runs(gains, noise=noise))
    assert found.word == word
    assert reason in found.reason and found.reason in found.sentence


def test_statistics_of_a_comparison_by_hand(make_runs: MakeRuns) -> None:
    runs = make_runs(arms(1.0), noise=0.2)
    means = {run.key: np.mean(run.scores["simulated"].values["strict_miou"]) for run in runs}
    verdict = paired(runs)
    by_seed = [
        means[f"cka-r4-rgbd-s{seed}"] - np.mean([means[f"{arm}-r4-rgbd-s{seed}"] for arm in RANDOM])
        for seed in range(10)
    ]
    uniform, random = verdict.comparisons
    assert uniform.effect and random.effect and random.effect.ci95
    np.testing.assert_allclose(random.effect.by_seed, by_seed)
    assert random.effect.difference == pytest.approx(np.mean(by_seed))
    assert random.effect.ci95[0] < np.mean(by_seed) < random.effect.ci95[1]
    assert random.effect.scenes == 6
    # All ten seeds gain: the least p that ten seeds can reach, doubled for two comparisons.
    assert uniform.effect.p == random.effect.p == 2 / 2**10
    assert uniform.p_holm == random.p_holm == 4 / 2**10
    low, high = random.effect.ci95
    assert verdict.sentence.startswith(
        "Allocation by paired CKA is supported on simulated strict mIoU at mean rank 4 with RGB-D: "
    )
    assert (
        f"{np.mean(by_seed):+.2f} points over the mean of 3 random allocations "
        f"[{low:+.2f}, {high:+.2f}], Holm p = 0.00391, 10 seeds" in verdict.sentence
    )


def test_each_definition_is_judged_and_holm_counts_them_all(make_runs: MakeRuns) -> None:
    gains = arms(2.0) | {"finetuned": -2.0, "covariance": 2.0, "reversed": 5.0}
    found = judge(make_runs(gains), SETTINGS).definitions
    assert [(each.arm, each.word) for each in found] == [
        ("cka", "supported"),
        ("finetuned", "falsified"),
        ("covariance", "supported"),
    ]
    assert {c.p_holm for each in found for c in each.comparisons} == {6 * 2 / 2**10}
    assert "feature-covariance alignment" in found[2].sentence


def test_only_common_seeds_count(make_runs: MakeRuns) -> None:
    runs = make_runs(arms(2.0))
    lost = ("cka-r4-rgbd-s0", "uniform-r4-rgbd-s7", "random_1-r4-rgbd-s8", "random_2-r4-rgbd-s9")
    uniform, random = paired([run for run in runs if run.key not in lost]).comparisons
    assert uniform.effect and uniform.effect.seeds == (1, 2, 3, 4, 5, 6, 8, 9)
    assert random.effect and random.effect.seeds == (1, 2, 3, 4, 5, 6, 7)
    assert random.effect.p == 2 / 2**7


def test_five_seeds_cannot_support(make_runs: MakeRuns) -> None:
    found = paired(make_runs(arms(2.0), seeds=5))
    assert found.word == "inconclusive" and "cannot go below p = 0.0625" in found.reason


def test_one_common_seed_is_not_judged(make_runs: MakeRuns) -> None:
    runs = make_runs(arms(2.0), seeds=3)
    few = [run for run in runs if run.arm != "uniform" or run.seed == 2]
    found = paired(few)
    assert found.word == "not judged"
    assert found.reason == "common seeds with uniform: 1, at least 2 are needed"
    uniform, random = found.comparisons
    assert uniform.effect is None and uniform.not_judged == found.reason
    assert random.effect and len(random.effect.seeds) == 3
    # The comparison that is left is the whole family.
    assert random.p_holm == random.effect.p
    none = paired([run for run in runs if run.arm not in RANDOM])
    assert "common seeds with random allocations: 0" in none.sentence


def test_ranks_that_rounding_makes_equal_are_not_judged(make_runs: MakeRuns) -> None:
    """Runs of the same ranks are the same run: their equality says nothing about CKA."""
    runs = make_runs(arms(0.0), noise=0.0)
    as_uniform = [replace(run, ranks=(4, 4, 4)) if run.arm == "cka" else run for run in runs]
    found = paired(as_uniform)
    assert (found.word, found.reason) == ("not judged", "its ranks are those of uniform")
    uniform, random = found.comparisons
    assert uniform.effect is None and random.effect is not None
    few = [replace(run, ranks=(7, 4, 1)) if run.arm in RANDOM else run for run in runs]
    assert paired(few).reason == "its ranks are those of the mean of 3 random allocations"
    some = [replace(run, ranks=(7, 4, 1)) if run.arm == RANDOM[0] else run for run in runs]
    assert paired(some).word == "falsified"


def test_other_budgets_and_inputs_do_not_enter_the_primary(make_runs: MakeRuns) -> None:
    runs = make_runs(arms(0.0), noise=0.1)
    others = make_runs(arms(9.0), mean_rank=1) + make_runs(arms(9.0), fusion=False)
    alone, among = paired(runs), paired(runs + others)
    assert alone == among
    at_one = judge(runs + others, replace(SETTINGS, mean_rank=1)).definitions[0]
    assert at_one.word == "supported" and "at mean rank 1 with RGB-D" in at_one.sentence


def factorial_of(verdict: Verdict) -> dict[str, float]:
    (found,) = verdict.factorials
    return {name: round(effect.difference, 9) for name, effect in found.effects.items()}


def test_fusion_and_allocation_are_separated(make_runs: MakeRuns) -> None:
    runs = make_runs({"uniform": 10, "cka": 13}, noise=0)
    runs += make_runs({"uniform": 0, "cka": 1}, seeds=8, fusion=False, noise=0)
    verdict = judge(runs, SETTINGS)
    assert factorial_of(verdict) == {"fusion": 11.0, "allocation": 2.0, "interaction": 2.0}
    assert verdict.factorials[0].effects["fusion"].seeds == tuple(range(8))
    assert verdict.factorials[0].effects["allocation"].p == 2 / 2**8
    alone = judge(make_runs({"uniform": 10, "cka": 13}), SETTINGS).factorials[0]
    assert not alone.effects
    assert alone.not_judged == "seeds that all four have: 0, at least 2 are needed"


def test_every_arm_is_in_the_secondary_table(make_runs: MakeRuns) -> None:
    gains = {"uniform": 0, "early": 3, "random_0": 1, "random_1": 2}
    runs = make_runs(gains, seeds=3, noise=0, datasets=("real", "simulated"))
    runs += make_runs({"early": 5}, seeds=1, noise=0, datasets=("real", "simulated"), mean_rank=1)
    rows = {
        (row.dataset, row.metric, row.arm, row.mean_rank): row for row in judge(runs, SETTINGS).arms
    }
    assert len(rows) == 2 * 4 * 6
    found = {arm: rows["real", "pct75", arm, 4] for arm in (*gains, "random")}
    gained = {arm: row.over_uniform and row.over_uniform.difference for arm, row in found.items()}
    assert gained == pytest.approx(
        {"uniform": None, "early": 3, "random_0": 1, "random_1": 2, "random": 1.5}
    )
    scores = np.mean([run.scores["real"].values["pct75"] for run in runs if run.arm == "uniform"])
    assert found["uniform"].mean == pytest.approx(scores) and found["uniform"].seeds == 3
    single = rows["simulated", "overlap_f", "early", 1]
    assert (single.seeds, single.ci95, single.over_uniform) == (1, None, None)


def test_runs_without_the_primary_are_refused(make_runs: MakeRuns) -> None:
    with pytest.raises(ConfigError, match="no run has scores on 'simulated'; there are: real"):
        judge(make_runs(arms(0), seeds=2, datasets=("real",)), SETTINGS)
    with pytest.raises(ConfigError, match="there are: none"):
        judge([], SETTINGS)
    with pytest.raises(ConfigError, match="pooled_miou on simulated"):
        judge(make_runs(arms(0), seeds=2), replace(SETTINGS, metric="pooled_miou"))


@pytest.mark.parametrize(
    "change", [{"metric": "iou"}, {"mean_rank": 0}, {"margin": 0.0}, {"alpha": 1.0}]
)
def test_settings_are_checked(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="iou|mean_rank|margin|alpha"):
        replace(SETTINGS, **change)  # type: ignore[arg-type]
