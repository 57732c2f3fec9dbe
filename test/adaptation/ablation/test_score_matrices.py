"""Matrices by hand, and intervals against data of known truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from repsam_ros.adaptation.ablation.results import RunResult
from repsam_ros.adaptation.ablation.score_matrices import (
    Cell,
    RunTable,
    SceneMatrix,
    combined,
    crossed_interval,
    measured,
)
from repsam_ros.adaptation.image_scores import Scores
from repsam_ros.errors import DatasetError
from repsam_ros.metrics.statistics import BootstrapSettings, bootstrap_intervals

MakeRun = Callable[..., RunResult]
MakeRuns = Callable[..., list[RunResult]]
FAST = BootstrapSettings(samples=400)
CKA = Cell("cka", 4, True)


def with_scores(run: RunResult, scores: Scores) -> RunResult:
    return replace(run, scores={"simulated": scores})


def crossed_data(
    rng: np.random.Generator, shape: tuple[int, int], seed: float, scene: float, noise: float
) -> SceneMatrix:
    """Effects of seeds and scenes and noise with the given spreads, mean zero."""
    rows, columns = shape
    values = rng.normal(0, seed, (rows, 1)) + rng.normal(0, scene, (1, columns))
    values = values + rng.normal(0, noise, shape)
    return SceneMatrix(tuple(range(rows)), values, np.ones(columns, np.int64))


def test_scene_means_by_hand(make_run: MakeRun) -> None:
    # Names out of order, two images of scene b and one of scene a.
    scores = Scores(("2", "3", "1"), ("b", "a", "b"), {"strict_miou": (10.0, 60.0, 20.0)})
    table = RunTable([with_scores(make_run("cka", seed), scores) for seed in (5, 3)])
    matrix = table.matrix(CKA, "simulated", "strict_miou")
    assert matrix.seeds == (3, 5)
    assert matrix.values.tolist() == [[60, 15], [60, 15]]
    assert matrix.images.tolist() == [1, 2]
    assert matrix.seed_means.tolist() == [30, 30]


@pytest.mark.parametrize("scenes", [("", "", ""), ("a", "a", "a"), ("a", "b", "c")])
def test_images_are_units_without_groups(make_run: MakeRun, scenes: tuple[str, ...]) -> None:
    scores = Scores(("2", "3", "1"), scenes, {"strict_miou": (10.0, 60.0, 20.0)})
    table = RunTable([with_scores(make_run("cka", 0), scores)])
    assert table.matrix(CKA, "simulated", "strict_miou").values.tolist() == [[20, 10, 60]]


def test_seeds_are_paired_with_themselves() -> None:
    images = np.array([1, 3])
    first = SceneMatrix((0, 2, 5), np.array([[1.0, 2], [3, 4], [5, 6]]), images)
    second = SceneMatrix((2, 4, 5), np.array([[10.0, 10], [0, 0], [20, 30]]), images)
    found = combined([second, first], (1, -1))
    assert found.seeds == (2, 5) and found.values.tolist() == [[7, 6], [15, 24]]
    effect = measured(found, FAST)
    assert effect.by_seed == (6.25, 21.75) and effect.difference == 14
    assert effect.p == 0.5 and effect.scenes == 2
    assert combined([first, replace(second, seeds=(7, 8, 9))], (1, -1)).values.shape == (0, 2)


def test_random_is_the_mean_on_seeds_that_all_have(make_runs: MakeRuns) -> None:
    runs = make_runs({"random_0": 0, "random_1": 3, "random_2": 6}, seeds=4, noise=0)
    base = RunTable(make_runs({"uniform": 0}, seeds=4, noise=0))
    lost = [run for run in runs if run.key != "random_1-r4-rgbd-s2"]
    matrix = RunTable(lost).matrix(CKA._replace(arm="random"), "simulated", "strict_miou")
    uniform = base.matrix(CKA._replace(arm="uniform"), "simulated", "strict_miou")
    assert matrix.seeds == (0, 1, 3)
    np.testing.assert_allclose(matrix.values - uniform.values[[0, 1, 3]], 3)


def test_runs_on_other_frames_are_refused(make_runs: MakeRuns) -> None:
    first, second = make_runs({"cka": 0}, seeds=2)
    whole = second.scores["simulated"]

    def part(keep: slice, **changes: object) -> RunResult:
        values = {name: column[keep] for name, column in whole.values.items()}
        changed = {"names": whole.names[keep], "scenes": whole.scenes[keep], "values": values}
        return with_scores(second, Scores(**{**changed, **changes}))  # type: ignore[arg-type]

    cases = {
        r"cka-r4-rgbd-s1: simulated lacks scene scene5": part(slice(0, 10)),
        r"cka-r4-rgbd-s1: simulated lacks image 5_1": part(slice(0, 11)),
        r"cka-r4-rgbd-s1: simulated lacks score boundary_f, pct75": part(
            slice(None),
            values={name: whole.values[name] for name in ("strict_miou", "overlap_f")},
        ),
        r"image 0_0 is of scene 'x', elsewhere of 'scene0'": part(
            slice(None), scenes=("x", *whole.scenes[1:])
        ),
        r"cka-r4-rgbd-s0 lacks the scores on real": replace(second, scores={"real": whole}),
        r"cka-r4-rgbd-s0 is given twice": first,
    }
    for message, changed in cases.items():
        with pytest.raises(DatasetError, match=message):
            RunTable([first, changed])


def test_one_seed_or_one_scene_has_no_interval() -> None:
    images = np.ones(4, np.int64)
    assert crossed_interval(SceneMatrix((0,), np.ones((1, 4)), images), FAST) is None
    assert crossed_interval(SceneMatrix((0, 1), np.ones((2, 1)), images[:1]), FAST) is None
    assert crossed_interval(SceneMatrix((0, 1), np.ones((2, 4)), images), FAST) == (1, 1)


def test_interval_is_that_of_student_where_only_seeds_vary() -> None:
    values = np.random.default_rng(0).normal(3, 1, (5, 1))
    matrix = SceneMatrix(tuple(range(5)), np.repeat(values, 40, axis=1), np.ones(40, np.int64))
    low, high = crossed_interval(matrix, BootstrapSettings(samples=40_000)) or (0, 0)
    half = stats.t.ppf(0.975, 4) * stats.sem(values[:, 0])
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)


def test_larger_scenes_count_for_more() -> None:
    matrix = SceneMatrix((0, 1), np.array([[0.0, 10], [0, 10]]), np.array([9, 1]))
    low, high = crossed_interval(matrix, FAST) or (0, 0)
    assert (low + high) / 2 == pytest.approx(1)


@pytest.mark.parametrize("shape", [(5, 30), (10, 30), (30, 5)])
@pytest.mark.parametrize(
    "spreads", [(1.0, 0.0, 1.0), (1.0, 3.0, 3.0), (0.3, 3.0, 3.0), (0.0, 3.0, 1.0)]
)
def test_intervals_cover_the_truth(
    shape: tuple[int, int], spreads: tuple[float, float, float]
) -> None:
    # Cautious by design, so only the lower bound of what chance leaves.
    repetitions = 200
    hits = 0
    for repetition in range(repetitions):
        data = crossed_data(np.random.default_rng(repetition), shape, *spreads)
        low, high = crossed_interval(data, FAST) or (0, 0)
        hits += low <= 0 <= high
    assert hits >= stats.binom.ppf(0.001, repetitions, 0.95)


def test_few_seeds_are_no_obstacle_where_scenes_vary() -> None:
    data = crossed_data(np.random.default_rng(0), (3, 40), 0.0, 5.0, 0.1)
    low, high = crossed_interval(data, BootstrapSettings(samples=40_000)) or (0, 0)
    assert (high - low) / 2 == pytest.approx(
        stats.t.ppf(0.975, 39) * stats.sem(data.values.mean(axis=0)), rel=0.03
    )


def test_nested_draws_would_cover_too_little() -> None:
    # 10 seeds whose runs share the effects of 30 scenes, drawn as if scenes were nested in seeds.
    repetitions, hits, nested_hits = 150, 0, 0
    seeds = np.repeat(np.arange(10), 30)
    for repetition in range(repetitions):
        data = crossed_data(np.random.default_rng(repetition), (10, 30), 0.3, 3.0, 3.0)
        low, high = crossed_interval(data, FAST) or (0, 0)
        hits += low <= 0 <= high
        low, high = bootstrap_intervals(data.values.reshape(-1, 1), FAST, seeds)[:, 0]
        nested_hits += low <= 0 <= high
    assert nested_hits < 0.85 * repetitions < 0.93 * repetitions <= hits
