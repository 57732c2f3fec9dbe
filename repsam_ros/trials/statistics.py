"""Success rates, their intervals and paired tests, from the rows of attempts alone."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from repsam_ros.metrics.statistics import (
    BootstrapSettings,
    bootstrap_intervals,
    holm,
    mcnemar_test,
    scene_groups,
    sign_flip_test,
)
from repsam_ros.trials.configuration import CLUTTER, MCNEMAR, Contrast, TrialsConfig
from repsam_ros.trials.execution import Outcome
from repsam_ros.trials.protocol import GLASS, OPAQUE
from repsam_ros.trials.rows import AttemptRow, AttemptTimes

ALL = "all"
# Classes of mask IoU, from and up to.
IOU_EDGES = (0.0, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0)
STAGES = ("sense_s", "segment_s", "plan_s", "execute_s")
Rows = Sequence[AttemptRow]
Unit = tuple[str, int]


@dataclass(frozen=True)
class Rate:
    """A share in percent with its 95 % interval; ``None`` where there is nothing to count."""

    count: int
    total: int
    percent: float | None
    ci95: tuple[float, float] | None


def summarise(config: TrialsConfig, rows: Rows, times: Sequence[AttemptTimes]) -> dict[str, Any]:
    """Everything that a report tells, as plain values."""
    names = [variant.name for variant in config.variants]
    groups = _groups(config, rows)
    content: dict[str, Any] = {
        "scenes": len({(row.stratum, row.scene_seed) for row in rows}),
        "attempts": len(rows),
        "rates": {
            group: {name: asdict(success_rate(config, _of(found, name))) for name in names}
            for group, found in groups.items()
        },
        "outcomes": {
            group: {name: dict(Counter(row.outcome for row in _of(found, name))) for name in names}
            for group, found in groups.items()
        },
        "perception": {name: perception(config, _of(rows, name)) for name in names},
        "times": {name: time_shares([t for t in times if t.variant == name]) for name in names},
        "primary": None,
        "secondary": compare_all(config, groups, config.secondary),
    }
    if config.protocol != CLUTTER:
        content["by_mask_iou"] = rates_by_mask_iou(config, groups)
    if config.primary is not None:
        content["primary"] = compare_all(config, groups, (config.primary,))[0]
    if config.protocol == CLUTTER:
        content["declutter"] = {
            group: {
                name: declutter_rate(_of(groups[group], name), config.bootstrap) for name in names
            }
            for group in (ALL, *config.strata)
            if group in groups
        }
    return content


def success_rate(config: TrialsConfig, rows: Rows) -> Rate:
    """Of attempts.

    Single shots all count; in clutter removal those count that were executed. The interval is
    Wilson's where each scene has one attempt, else from a bootstrap over scenes. Attempts that
    all ended alike count as one a scene.
    """
    if config.protocol == CLUTTER:
        rows = [row for row in rows if row.x_m is not None]
    successes = np.array([is_success(row) for row in rows], np.float64)
    if not len(rows):
        return Rate(0, 0, None, None)
    groups = scene_groups([f"{row.stratum} {row.scene_seed}" for row in rows])
    if groups is None:
        ci95 = _wilson(successes)
    elif np.ptp(successes) == 0:
        ci95 = _wilson(successes[: len(np.unique(groups))])
    else:
        low, high = bootstrap_intervals(100 * successes[:, None], config.bootstrap, groups)[:, 0]
        ci95 = (round(float(low), 4), round(float(high), 4))
    return Rate(int(successes.sum()), len(rows), round(100 * float(successes.mean()), 4), ci95)


def _wilson(successes: NDArray[np.float64]) -> tuple[float, float]:
    """Wilson's interval of (N,) attempts of scenes of their own, percent."""
    bounds = stats.binomtest(int(successes.sum()), len(successes)).proportion_ci(method="wilson")
    return round(100 * float(bounds.low), 4), round(100 * float(bounds.high), 4)


def declutter_rate(rows: Rows, bootstrap: BootstrapSettings) -> dict[str, Any]:
    """Mean share of objects that were taken away in a round, percent.

    The interval is from a bootstrap over rounds; Wilson's where all of them took away everything,
    or nothing.
    """
    shares = np.array(list(cleared_shares(rows).values()))
    if not len(shares):
        return {"total": 0, "percent": None, "ci95": None}
    if shares.min() == 1 or shares.max() == 0:
        ci95 = _wilson(shares)
    else:
        low, high = bootstrap_intervals(100 * shares[:, None], bootstrap)[:, 0]
        ci95 = (round(float(low), 4), round(float(high), 4))
    return {"total": len(shares), "percent": round(100 * float(shares.mean()), 4), "ci95": ci95}


def cleared_shares(rows: Rows) -> dict[Unit, float]:
    """Share of the objects of each round of one variant that were lifted and taken away."""
    objects: dict[Unit, int] = defaultdict(int)
    lifted: Counter[Unit] = Counter()
    for row in rows:
        unit = (row.stratum, row.scene_seed)
        objects[unit] = max(objects[unit], row.objects)
        lifted[unit] += len(row.lifted.split())
    return {unit: lifted[unit] / count for unit, count in objects.items()}


def compare_all(
    config: TrialsConfig, groups: dict[str, list[AttemptRow]], contrasts: Sequence[Contrast]
) -> list[dict[str, Any]]:
    """Contrasts with p values adjusted among them; groups of scenes get differences alone."""
    found = [_compare(config, groups, contrast) for contrast in contrasts]
    for each, p_holm in zip(found, holm([each["p"] for each in found]), strict=True):
        each["p_holm"] = float(p_holm)
    return found


def _compare(
    config: TrialsConfig, groups: dict[str, list[AttemptRow]], contrast: Contrast
) -> dict[str, Any]:
    first, second, scenes = _paired(config, groups[ALL], contrast)
    if config.test == MCNEMAR:
        p = mcnemar_test(first > 0, second > 0)
    else:
        p = sign_flip_test(first - second, scenes, config.bootstrap.seed)
    return {
        "variant": contrast.variant,
        "against": contrast.against,
        "p": p,
        "only_variant": int((first > second).sum()),
        "only_against": int((first < second).sum()),
        "differences": {
            group: _difference(config, *_paired(config, rows, contrast))
            for group, rows in groups.items()
        },
    }


def _difference(
    config: TrialsConfig,
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    scenes: NDArray[np.intp] | None,
) -> dict[str, Any]:
    """In points, with the interval of a paired bootstrap over scenes."""
    if not len(first):
        return {"pairs": 0, "points": None, "ci95": None}
    points = 100 * (first - second)[:, None]
    low, high = bootstrap_intervals(points, config.bootstrap, scenes)[:, 0]
    return {
        "pairs": len(points),
        "points": round(float(points.mean()), 4),
        "ci95": (round(float(low), 4), round(float(high), 4)),
    }


def _paired(
    config: TrialsConfig, rows: Rows, contrast: Contrast
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp] | None]:
    """Values of two variants in the same snapshots or rounds, and the scene of each pair.

    A snapshot's value is whether the target was lifted, a round's the share that was taken away.
    """
    sides: list[dict[Unit, float]] = []
    for name in (contrast.variant, contrast.against):
        own = _of(rows, name)
        if config.protocol == CLUTTER:
            sides.append(cleared_shares(own))
        else:
            sides.append({(row.stratum, row.scene_seed): float(is_success(row)) for row in own})
    common = [unit for unit in sides[0] if unit in sides[1]]
    first, second = (np.array([side[unit] for unit in common], np.float64) for side in sides)
    return first, second, scene_groups([str(seed) for _, seed in common])


def perception(config: TrialsConfig, rows: Rows) -> dict[str, Any]:
    """How well the targets were segmented: mean IoU, share that was detected; percent."""
    ious = [row.mask_iou for row in rows if row.mask_iou is not None]
    detected = [iou >= config.min_iou for iou in ious]
    return {
        "mask_iou": round(100 * float(np.mean(ious)), 4) if ious else None,
        "detected": round(100 * float(np.mean(detected)), 4) if ious else None,
    }


def rates_by_mask_iou(
    config: TrialsConfig, groups: dict[str, list[AttemptRow]]
) -> list[dict[str, Any]]:
    """Success rates of all networks together in classes of ``IOU_EDGES``, by material."""
    networks = {variant.name for variant in config.variants if variant.has_network}
    found = []
    for low, high in itertools.pairwise(IOU_EDGES):
        rates = {}
        for group in (ALL, OPAQUE, GLASS):
            rows = [
                row
                for row in groups.get(group, [])
                if row.variant in networks
                and row.mask_iou is not None
                and (low <= row.mask_iou < high or row.mask_iou == high == IOU_EDGES[-1])
            ]
            rates[group] = asdict(success_rate(config, rows))
        found.append({"from": low, "to": high, "rates": rates})
    return found


def time_shares(times: Sequence[AttemptTimes]) -> dict[str, float | None]:
    """Mean seconds of each stage over the attempts that had it."""
    means: dict[str, float | None] = {}
    for stage in STAGES:
        values = [value for t in times if (value := getattr(t, stage)) is not None]
        means[stage] = round(float(np.mean(values)), 5) if values else None
    return means


def is_success(row: AttemptRow) -> bool:
    """Whether the target was lifted and held."""
    return row.outcome == Outcome.SUCCESS.value


def _of(rows: Rows, variant: str) -> list[AttemptRow]:
    return [row for row in rows if row.variant == variant]


def _groups(config: TrialsConfig, rows: Rows) -> dict[str, list[AttemptRow]]:
    """The rows: all, by material of the target, by stratum.

    Which material is met in a round depends on the variant, so rounds are not split by it.
    """
    wanted = [] if config.protocol == CLUTTER else [("material", OPAQUE), ("material", GLASS)]
    wanted += [("stratum", stratum) for stratum in config.strata]
    found = {value: [r for r in rows if getattr(r, name) == value] for name, value in wanted}
    return {ALL: list(rows), **{value: some for value, some in found.items() if some}}
