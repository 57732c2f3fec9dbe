"""The report of a cross-validation: ``crossval.json``, and the page made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros import __version__
from repsam_ros.adaptation.crossval.config import FULL, ZERO_SHOT, ArmSettings, CrossvalConfig
from repsam_ros.adaptation.crossval.page import page
from repsam_ros.adaptation.crossval.results import HELD_OUT, SIMULATED, FoldResult
from repsam_ros.errors import DatasetError
from repsam_ros.metrics.labels import SCORE_NAMES
from repsam_ros.metrics.statistics import (
    BootstrapSettings,
    holm,
    known_bounds,
    scene_groups,
    sign_flip_test,
)
from repsam_ros.paths import write_text

_DIGITS = 4


@dataclass(frozen=True)
class ImageTable:
    """Scores of N images, of each arm that has all of its networks.

    Attributes:
        scenes: Scene of each image, "" = not known.
        values: (N, 9) percent by arm, columns as ``SCORE_NAMES``: means over the networks that
            score an image, which are one a seed for frames that are held out.
    """

    names: tuple[str, ...]
    scenes: tuple[str, ...]
    values: dict[str, NDArray[np.float64]]


def write_report(
    out: Path, config: CrossvalConfig, results: Sequence[FoldResult], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes ``crossval.json`` and ``crossval.md``; returns the content of the first."""
    content = report_content(config, results, about)
    for name, text in {
        "crossval.json": json.dumps(content, indent=1, allow_nan=False),
        "crossval.md": page(content),
    }.items():
        write_text(out / name, f"{text}\n")
    return content


def report_content(
    config: CrossvalConfig, results: Sequence[FoldResult], about: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of ``crossval.json``: arms, statistics of each data set, and all images.

    Args:
        about: Plain values, such as configuration and hash of the base; ``folds`` holds the names
            of the frames of each fold.
    """
    names = tuple(name for fold in about["folds"] for name in fold)
    tables = {HELD_OUT: pooled(results, HELD_OUT, names)}
    further = [result.scores[SIMULATED] for result in results if SIMULATED in result.scores]
    if further:
        tables[SIMULATED] = pooled(results, SIMULATED, further[0].names)
    return {
        "arms": [_about_arm(arm, results) for arm in config.arms],
        "datasets": {name: _statistics(config, table) for name, table in tables.items()},
        "about": dict(about),
        "version": __version__,
    }


def pooled(results: Sequence[FoldResult], dataset: str, names: tuple[str, ...]) -> ImageTable:
    """Means over all networks that score an image; an arm that lacks an image is left out.

    Raises:
        DatasetError: Networks disagree about the scene of an image.
    """
    scores: dict[str, dict[str, list[list[float]]]] = {}
    scenes: dict[str, str] = {}
    for result in results:
        found = result.scores[dataset]
        rows = zip(*(found.values[metric] for metric in SCORE_NAMES), strict=True)
        of_arm = scores.setdefault(result.arm, {})
        for name, scene, row in zip(found.names, found.scenes, rows, strict=True):
            if scenes.setdefault(name, scene) != scene:
                raise DatasetError(f"{name} is of the scenes {scenes[name]} and {scene}")
            of_arm.setdefault(name, []).append(list(row))
    values = {
        arm: np.array([np.mean(found[name], axis=0) for name in names])
        for arm, found in scores.items()
        if found.keys() >= {*names}
    }
    return ImageTable(names, tuple(scenes.get(name, "") for name in names), values)


def _about_arm(arm: ArmSettings, results: Sequence[FoldResult]) -> dict[str, Any]:
    mine = [result for result in results if result.arm == arm.name]
    seconds = [result.seconds for result in mine]
    return {
        "name": arm.name,
        "method": arm.method,
        "see": arm.see,
        "trainable_params": sorted({result.trainable_params for result in mine}),
        "ranks": [list(ranks) for ranks in sorted({result.ranks for result in mine})],
        "networks": len(mine),
        "seconds": round(float(np.mean(seconds)), 1) if mine else None,
        "learning_rates": {
            str(result.left_out[0]): result.learning_rate
            for result in sorted(mine, key=lambda result: result.left_out)
            if result.learning_rate is not None
        },
    }


def _statistics(config: CrossvalConfig, table: ImageTable) -> dict[str, Any]:
    groups = scene_groups(table.scenes)
    full = config.full_arm()
    arms: dict[str, dict[str, Any]] = {}
    for name, values in table.values.items():
        bounds = known_bounds(values, config.bootstrap, groups)
        means = values.mean(axis=0)
        arms[name] = {
            "mean": _by_score(means),
            "ci95": dict(zip(SCORE_NAMES, bounds, strict=True)),
            "share_of_full": None,
        }
        if full is not None and full.name in table.values:
            # An untrained network may find nothing at all.
            of = table.values[full.name].mean(axis=0)
            share = np.divide(100 * means, of, out=np.full_like(of, np.nan), where=of > 0)
            arms[name]["share_of_full"] = _by_score(share)
    return {
        "images": len(table.names),
        "scenes": None if groups is None else len(np.unique(groups)),
        "arms": arms,
        "differences": _differences(config, table, groups),
        "per_image": _rows(table),
    }


def _differences(
    config: CrossvalConfig, table: ImageTable, groups: NDArray[np.intp] | None
) -> list[dict[str, Any]]:
    """Paired by image; Holm's adjustment is over the arms that are held against one kind of arm."""
    rows = []
    for kind in (ZERO_SHOT, FULL):
        pairs = []
        for arm in config.arms:
            other = config.full_arm() if kind == FULL else config.zero_shot_arm(arm.see)
            # The base on one input is not held against the base on another.
            if other is not None and other != arm and (arm.trains or kind == FULL):
                pairs.append((arm.name, other.name))
        known = [pair for pair in pairs if {*pair} <= table.values.keys()]
        rows += _compared(known, kind, table, config.bootstrap, groups)
    return rows


def _compared(
    pairs: Sequence[tuple[str, str]],
    kind: str,
    table: ImageTable,
    bootstrap: BootstrapSettings,
    groups: NDArray[np.intp] | None,
) -> list[dict[str, Any]]:
    differences = [table.values[arm] - table.values[other] for arm, other in pairs]
    if not pairs:
        return []
    p = np.array(
        [
            [sign_flip_test(column, groups, bootstrap.seed) for column in difference.T]
            for difference in differences
        ]
    )
    adjusted = np.stack([holm(column) for column in p.T], axis=1)
    rows = []
    for k, (arm, other) in enumerate(pairs):
        bounds = known_bounds(differences[k], bootstrap, groups)
        rows.append(
            {
                "arm": arm,
                "against": other,
                "kind": kind,
                "difference": _by_score(differences[k].mean(axis=0)),
                "ci95": dict(zip(SCORE_NAMES, bounds, strict=True)),
                "p": _by_score(p[k]),
                "p_holm": _by_score(adjusted[k]),
            }
        )
    return rows


def _rows(table: ImageTable) -> list[dict[str, Any]]:
    """One row an image: its scores by arm."""
    return [
        {
            "name": name,
            "scene": scene,
            "scores": {arm: _by_score(values[k]) for arm, values in table.values.items()},
        }
        for k, (name, scene) in enumerate(zip(table.names, table.scenes, strict=True))
    ]


def _by_score(values: NDArray[np.float64]) -> dict[str, Any]:
    """By names of scores; NaN becomes None."""
    rounded = np.round(values, _DIGITS).tolist()
    return {
        name: None if value != value else value
        for name, value in zip(SCORE_NAMES, rounded, strict=True)
    }
