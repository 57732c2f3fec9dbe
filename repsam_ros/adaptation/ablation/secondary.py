"""What is reported beside the primary comparison: rank allocation against fusion, and every arm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from repsam_ros.adaptation.ablation.score_matrices import (
    UNIFORM,
    Cell,
    Effect,
    RunTable,
    combined,
    crossed_interval,
    measured,
)
from repsam_ros.metrics.statistics import BootstrapSettings

# Weights of uniform RGB, cka RGB, uniform RGB-D, cka RGB-D.
_CONTRASTS = {
    "fusion": (-0.5, -0.5, 0.5, 0.5),
    "allocation": (-0.5, 0.5, -0.5, 0.5),
    "interaction": (1.0, -1.0, -1.0, 1.0),
}


@dataclass(frozen=True)
class Factorial:
    """{uniform, cka} x {RGB, RGB-D} on the seeds that all four have.

    Attributes:
        effects: ``fusion`` (RGB-D minus RGB, mean of both allocations), ``allocation`` (cka minus
            uniform, mean of both inputs) and ``interaction`` (what cka gains with RGB-D minus
            what it gains with RGB); empty where not judged.
        not_judged: Why, or None.
    """

    dataset: str
    metric: str
    mean_rank: int
    effects: dict[str, Effect]
    not_judged: str | None = None


@dataclass(frozen=True)
class ArmScore:
    """One score of the runs that differ in their seed alone.

    Attributes:
        mean: Over seeds and images, percent.
        ci95: See :func:`crossed_interval`.
        over_uniform: Difference to ``uniform`` of the same budget and input, None without a
            common seed and for ``uniform`` itself.
    """

    arm: str
    mean_rank: int
    fusion: bool
    dataset: str
    metric: str
    seeds: int
    mean: float
    ci95: tuple[float, float] | None
    over_uniform: Effect | None


def factorial(
    runs: RunTable, dataset: str, metric: str, mean_rank: int, bootstrap: BootstrapSettings
) -> Factorial:
    """Main effects and interaction of fusion and allocation."""
    cells = [Cell(arm, mean_rank, fusion) for fusion in (False, True) for arm in (UNIFORM, "cka")]
    matrices = [runs.matrix(cell, dataset, metric) for cell in cells]
    contrasts = {name: combined(matrices, weights) for name, weights in _CONTRASTS.items()}
    common = len(contrasts["fusion"].seeds)
    if common < 2:
        reason = f"seeds that all four have: {common}, at least 2 are needed"
        return Factorial(dataset, metric, mean_rank, {}, reason)
    effects = {name: measured(matrix, bootstrap) for name, matrix in contrasts.items()}
    return Factorial(dataset, metric, mean_rank, effects)


def arm_scores(runs: RunTable, bootstrap: BootstrapSettings) -> tuple[ArmScore, ...]:
    """Every arm, budget, input, data set and score."""
    return tuple(
        _arm_score(runs, cell, dataset, metric, bootstrap)
        for dataset in runs.datasets
        for cell in runs.cells
        if runs.matrix(cell, dataset, runs.scores(dataset)[0]).seeds
        for metric in runs.scores(dataset)
    )


def _arm_score(
    runs: RunTable, cell: Cell, dataset: str, metric: str, bootstrap: BootstrapSettings
) -> ArmScore:
    matrix = runs.matrix(cell, dataset, metric)
    uniform = runs.matrix(cell._replace(arm=UNIFORM), dataset, metric)
    difference = combined([matrix, uniform], (1, -1))
    is_compared = cell.arm != UNIFORM and difference.seeds
    return ArmScore(
        *cell,
        dataset=dataset,
        metric=metric,
        seeds=len(matrix.seeds),
        mean=float(np.mean(matrix.seed_means)),
        ci95=crossed_interval(matrix, bootstrap),
        over_uniform=measured(difference, bootstrap) if is_compared else None,
    )
