"""Charts of an ablation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from repsam_ros.adaptation.ablation.mechanism import Mechanism
from repsam_ros.adaptation.ablation.results import BLOCK_PREFIX, INPUTS, RunResult
from repsam_ros.adaptation.ablation.score_matrices import RANDOM
from repsam_ros.adaptation.ablation.secondary import ArmScore
from repsam_ros.adaptation.ablation.verdict import Verdict
from repsam_ros.metrics.labels import TITLES
from repsam_ros.presentation.charts import draw_chart

Image = NDArray[np.uint8]
# As many as a chart has room and colours for.
_ARMS, _LINES = 8, 5
_NOTHING = (float("nan"), float("nan"))


def draw_plots(
    results: Sequence[RunResult], verdict: Verdict, mechanism: Mechanism | None
) -> dict[str, Image]:
    """(H, W, 3) RGB charts by name; those without anything to show are left out."""
    stacks = {
        "differences": _difference_charts(verdict),
        "ranks": _rank_charts(results, verdict),
        "mechanism": [] if mechanism is None else [_mechanism_chart(mechanism)],
    }
    return {name: np.concatenate(charts) for name, charts in stacks.items() if charts}


def _difference_charts(verdict: Verdict) -> list[Image]:
    """Difference to uniform of each arm on each data set, a bar for each budget and input.

    Arms that adapt one block alone belong to the mechanism.
    """
    metric = verdict.settings.metric
    charts = []
    for dataset in sorted({row.dataset for row in verdict.arms}):
        rows = [
            row
            for row in verdict.arms
            if row.over_uniform and row.dataset == dataset and row.metric == metric
            if not row.arm.startswith(BLOCK_PREFIX)
        ]
        for arms in _chunks(sorted({row.arm for row in rows}), _ARMS):
            charts.append(_difference_chart(f"{TITLES[metric]} on {dataset}", rows, arms))
    return charts


def _difference_chart(title: str, rows: Sequence[ArmScore], arms: list[str]) -> Image:
    values, intervals = {}, {}
    for rank, fusion in sorted({(row.mean_rank, row.fusion) for row in rows}):
        found = {r.arm: r.over_uniform for r in rows if (r.mean_rank, r.fusion) == (rank, fusion)}
        effects = [found.get(arm) for arm in arms]
        name = f"rank {rank} {INPUTS[fusion]}"
        values[name] = [effect.difference if effect else float("nan") for effect in effects]
        intervals[name] = [(effect and effect.ci95) or _NOTHING for effect in effects]
    numbered = ", ".join(f"{number} {arm}" for number, arm in enumerate(arms))
    title = f"Difference to uniform of the same mean rank and input: {title}"
    return draw_chart(title, "points", values, intervals, x_label=numbered, bars=True)


def _rank_charts(results: Sequence[RunResult], verdict: Verdict) -> list[Image]:
    """Ranks of the blocks at the primary budget, means over seeds and the layers of a block."""
    settings = verdict.settings
    runs = [
        run
        for run in results
        if (run.mean_rank, run.fusion) == (settings.mean_rank, settings.fusion)
        if run.ranks and not run.arm.startswith(BLOCK_PREFIX)
    ]
    blocks = min((len(run.ranks) for run in runs), default=0)
    ranks: dict[str, list[float]] = {}
    for arm in sorted({run.arm for run in runs}, key=lambda arm: (arm.startswith(RANDOM), arm)):
        layers = np.mean([run.ranks for run in runs if run.arm == arm], axis=0)
        ranks[arm] = layers.reshape(blocks, -1).mean(axis=1).tolist()
    title = f"Ranks at mean rank {settings.mean_rank}"
    return [
        draw_chart(title, "rank", {arm: ranks[arm] for arm in arms}, bars=True)
        for arms in _chunks(list(ranks), _LINES)
    ]


def _mechanism_chart(mechanism: Mechanism) -> Image:
    values = {"1 - CKA": mechanism.one_minus_cka}
    for name, found in (
        ("change by full fine-tuning", mechanism.update_norms),
        ("gain of the block alone", mechanism.single_block_gains),
    ):
        if found:
            values[f"{name} (rho {found.rho:+.2f})"] = found.values
    shares = {name: _shares(series) for name, series in values.items()}
    return draw_chart("Where CKA is low and where adaptation acts", "share of the largest", shares)


def _shares(series: Sequence[float]) -> list[float]:
    largest = max(abs(value) for value in series)
    return [value / largest if largest else 0.0 for value in series]


def _chunks(names: list[str], size: int) -> list[list[str]]:
    rest = iter(names)
    return list(iter(lambda: list(islice(rest, size)), []))
