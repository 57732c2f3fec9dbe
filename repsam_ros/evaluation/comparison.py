"""Two evaluations of the same frames, compared frame by frame."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros import __version__
from repsam_ros.errors import ConfigError, DatasetError, shortened
from repsam_ros.metrics.labels import SCORE_NAMES, TITLES
from repsam_ros.metrics.statistics import (
    BootstrapSettings,
    equivalence_test,
    holm,
    interval_text,
    known_bounds,
    p_text,
    scene_groups,
    sign_flip_test,
)
from repsam_ros.paths import write_text
from repsam_ros.presentation.markdown import table

_HEADER = ("score", "A", "B", "B - A", "95 % interval", "p", "p Holm", "p TOST", "B wins/loses")


@dataclass(frozen=True, kw_only=True)
class ComparisonConfig:
    """Two folders that ``repsam eval`` wrote are compared.

    Attributes:
        margin: Runs within this many points of each other count as equally good.
    """

    a: str
    b: str
    margin: float = 0.5
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)

    def __post_init__(self) -> None:
        if not self.margin > 0:
            raise ConfigError(f"margin must be positive, got {self.margin}")


@dataclass(frozen=True)
class ImageScoreTable:
    """The rows of a ``per_image.csv``, sorted by name.

    Attributes:
        values: (N, 9) percent, columns as ``SCORE_NAMES``.
        true: (N,) true objects.
        scenes: Scene of each image, "" = not known.
    """

    names: list[str]
    values: NDArray[np.float64]
    true: NDArray[np.int64]
    scenes: list[str]


def read_image_scores(folder: Path) -> ImageScoreTable:
    """The scores that ``repsam eval`` wrote into ``folder``.

    Raises:
        DatasetError: ``per_image.csv`` is missing, broken or empty, or has a name twice.
    """
    path = folder / "per_image.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: row["name"])
        values = np.array([[float(row[name]) for name in SCORE_NAMES] for row in rows])
        true = np.array([int(row["true"]) for row in rows])
        scenes = [row["scene"] for row in rows]
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from error
    except KeyError as error:
        raise DatasetError(
            f"{path}: no column {error.args[0]}, as repsam eval writes it"
        ) from error
    except (ValueError, TypeError, csv.Error) as error:
        raise DatasetError(f"{path}: not a table of scores: {error}") from error
    names = [row["name"] for row in rows]
    twice = [name for name, after in zip(names, names[1:], strict=False) if name == after]
    if twice:
        raise DatasetError(f"{path}: {shortened(twice)} more than once")
    if not names or not np.all(np.isfinite(values)):
        raise DatasetError(f"{path}: {'empty scores' if names else 'no images'}")
    return ImageScoreTable(names, values, true, scenes)


def compare_runs(config: ComparisonConfig) -> dict[str, Any]:
    """Paired tests of each score; differences are B - A in points.

    Where scenes are known they are the units (see ``scene_groups``). ``p`` is that of sign flips,
    ``p_holm`` is adjusted for the number of scores, ``p_equivalence`` (TOST) is small where the
    runs are as good as each other; it is not adjusted.

    Returns:
        The content of ``compare.json``.

    Raises:
        DatasetError: A table is broken, or the frames or their true objects differ.
    """
    a, b = (read_image_scores(Path(folder)) for folder in (config.a, config.b))
    _check_same_frames(config, a, b)
    differences = b.values - a.values
    groups = scene_groups(a.scenes)
    intervals = known_bounds(differences, config.bootstrap, groups)
    p = [sign_flip_test(column, groups, config.bootstrap.seed) for column in differences.T]
    scores = {}
    for k, (name, p_holm) in enumerate(zip(SCORE_NAMES, holm(p), strict=True)):
        column = differences[:, k]
        scores[name] = {
            "mean_a": round(float(a.values[:, k].mean()), 4),
            "mean_b": round(float(b.values[:, k].mean()), 4),
            "difference": round(float(column.mean()), 4),
            "ci95": intervals[k],
            "p": p[k],
            "p_holm": float(p_holm),
            "p_equivalence": equivalence_test(column, config.margin, groups),
            "wins": int((column > 0).sum()),
            "losses": int((column < 0).sum()),
        }
    return {
        "n": len(a.names),
        "scenes": None if groups is None else len(np.unique(groups)),
        "scores": scores,
        "config": asdict(config),
        "version": __version__,
    }


def comparison_text(comparison: dict[str, Any]) -> str:
    """The comparison for a terminal."""
    rows = [_HEADER, *_cells(comparison)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if k else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([*_heading(comparison), "", *lines])


def write_comparison(comparison: dict[str, Any], out: Path) -> None:
    """Writes ``compare.md`` and ``compare.json``."""
    scores = table(_HEADER, _cells(comparison), align_numbers=True)
    for name, text in {
        "compare.md": "\n\n".join([*_heading(comparison), scores]),
        "compare.json": json.dumps(comparison, indent=2),
    }.items():
        write_text(out / name, f"{text}\n")


def _check_same_frames(config: ComparisonConfig, a: ImageScoreTable, b: ImageScoreTable) -> None:
    only_a, only_b = sorted({*a.names} - {*b.names}), sorted({*b.names} - {*a.names})
    if only_a or only_b:
        sides = [(config.a, only_a), (config.b, only_b)]
        parts = [f"only in {folder}: {shortened(names)}" for folder, names in sides if names]
        raise DatasetError(f"the frames differ, {'; '.join(parts)}")
    changed = [name for name, x, y in zip(a.names, a.true, b.true, strict=True) if x != y]
    if changed:
        raise DatasetError(
            f"{config.a} and {config.b}: the number of true objects differs in {shortened(changed)}"
        )


def _heading(comparison: dict[str, Any]) -> list[str]:
    config, scenes = comparison["config"], comparison["scenes"]
    units = "images" if scenes is None else "scenes"
    where = "" if scenes is None else f" of {scenes} scenes"
    return [
        f"A: {config['a']}",
        f"B: {config['b']}",
        f"{comparison['n']} images{where}, percent. Intervals: paired bootstrap over {units}; p: "
        f"sign flips of {units}; Holm: over the {len(comparison['scores'])} scores; TOST: within "
        f"{config['margin']:g} points of each other.",
    ]


def _cells(comparison: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            TITLES[name],
            f"{row['mean_a']:.2f}",
            f"{row['mean_b']:.2f}",
            f"{row['difference']:+.2f}",
            interval_text(row["ci95"], "+.2f"),
            *(p_text(row[key]) for key in ("p", "p_holm", "p_equivalence")),
            f"{row['wins']}/{row['losses']}",
        )
        for name, row in comparison["scores"].items()
    ]
