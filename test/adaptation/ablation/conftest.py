"""Runs with planted effects."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from repsam_ros.adaptation.ablation.results import RunResult
from repsam_ros.adaptation.image_scores import Scores

SCENES, VIEWS = 6, 2
METRICS = ("strict_miou", "overlap_f", "boundary_f", "pct75")
RANKS = {
    "uniform": (4, 4, 4),
    "cka": (7, 4, 1),
    "finetuned": (6, 5, 1),
    "covariance": (5, 4, 3),
    "reversed": (1, 4, 7),
}

MakeRun = Callable[..., RunResult]
MakeRuns = Callable[..., list[RunResult]]


def _make_run(
    arm: str,
    seed: int,
    gain: float = 0.0,
    *,
    noise: float = 0.1,
    mean_rank: int = 4,
    fusion: bool = True,
    datasets: tuple[str, ...] = ("simulated",),
) -> RunResult:
    """Scores of 70 with effects of seed and scene that all arms share, plus ``gain`` and noise
    that the images of a run share."""
    key = [ord(letter) for letter in arm] + [seed, mean_rank, fusion]
    own = np.random.default_rng(key).normal(0, noise)
    names = tuple(f"{scene}_{view}" for scene in range(SCENES) for view in range(VIEWS))
    shared = np.random.default_rng(seed).normal(0, 2) + np.repeat(
        np.random.default_rng(5).normal(0, 5, SCENES), VIEWS
    )
    values = tuple((70 + shared + gain + own).tolist())
    scores = Scores(names, tuple(f"scene{n[0]}" for n in names), dict.fromkeys(METRICS, values))
    return RunResult(
        arm=arm,
        mean_rank=mean_rank,
        fusion=fusion,
        seed=seed,
        ranks=RANKS.get(arm, (1, 7, 4)),
        adapter_params=1200,
        trainable_params=51200,
        learning_rate=1e-3,
        steps=300,
        seconds=90.0,
        scores=dict.fromkeys(datasets, scores),
    )


def _make_runs(gains: Mapping[str, float], seeds: int = 10, **options: object) -> list[RunResult]:
    return [
        _make_run(arm, seed, gain, **options)  # type: ignore[arg-type]
        for arm, gain in gains.items()
        for seed in range(seeds)
    ]


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    """One run of an arm with a gain."""
    return _make_run


@pytest.fixture(scope="session")
def make_runs() -> MakeRuns:
    """Runs of arms with gains, so many seeds each."""
    return _make_runs
