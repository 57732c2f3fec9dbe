"""Page and curves from the content of ``robustness.json``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.evaluation.robustness.disturbances import DISTURBANCES
from repsam_ros.metrics.labels import MAIN_SCORES, TITLES
from repsam_ros.metrics.statistics import value_text
from repsam_ros.presentation.charts import draw_chart
from repsam_ros.presentation.markdown import table

_OBJECTS = "true objects in the image"


def page(content: dict[str, Any]) -> str:
    """``robustness.md``."""
    units = "images" if content["scenes"] is None else "scenes"
    subject, config = content["subject"], content["config"]
    parts = [
        f"# Robustness on {content['dataset']}",
        f"`{config['model']}` on {content['images']} images that are made worse, one disturbance "
        f"at a time; it sees {config['see']}. Percent, means over images with 95 % bootstrap "
        f"intervals over {units}.",
        "![Curves](robustness.png)",
    ]
    for name, points in content["curves"].items():
        kind = DISTURBANCES[name]
        rows = [
            [f"{point['level']:g}{_mark(point['level'], kind.neutral)}", *_cells(point)]
            for point in points
        ]
        parts += [f"## {_capital(kind.title)}", table([name, *_heads()], rows)]
    if content["objects"]:
        rows = [[_class(row), str(row["images"]), *_cells(row)] for row in content["objects"]]
        parts += [f"## {_capital(_OBJECTS)}", table(["objects", "images", *_heads()], rows)]
    parts.append(
        f"sha256 of the weights `{subject['model_sha256']}`, {subject['name']} "
        f"{subject['version']}, {subject['precision']}; repsam_ros {content['version']}, "
        f"seed {config['seed']}. \\* as the camera gave it."
    )
    return "\n\n".join(parts) + "\n"


def draw_curves(content: dict[str, Any]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB, one chart a disturbance below each other."""
    charts = [
        _chart(DISTURBANCES[name].title, [f"{point['level']:g}" for point in points], points)
        for name, points in content["curves"].items()
    ]
    if content["objects"]:
        rows = content["objects"]
        charts.append(_chart(_OBJECTS, [_class(row) for row in rows], rows))
    return np.concatenate(charts)


def _chart(title: str, ticks: list[str], points: list[dict[str, Any]]) -> NDArray[np.uint8]:
    return draw_chart(
        _capital(title),
        "percent",
        {TITLES[name]: [point["mean"][name] for point in points] for name in MAIN_SCORES},
        {TITLES[name]: [_bounds(point, name) for point in points] for name in MAIN_SCORES},
        x_label="",
        ticks=ticks,
    )


def _bounds(point: dict[str, Any], name: str) -> tuple[float, float]:
    low, high = point["ci95"][name] or (math.nan, math.nan)
    return low, high


def _heads() -> list[str]:
    return [TITLES[name] for name in MAIN_SCORES]


def _cells(point: dict[str, Any]) -> list[str]:
    return [value_text(point["mean"][name], point["ci95"][name]) for name in MAIN_SCORES]


def _class(row: dict[str, Any]) -> str:
    if row["most"] is None:
        return f"{row['least']} or more"
    return str(row["most"]) if row["least"] == row["most"] else f"{row['least']} to {row['most']}"


def _mark(level: float, neutral: float) -> str:
    return "\\*" if level == neutral else ""


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]
