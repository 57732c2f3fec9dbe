"""The HTML report of an evaluation: one file that needs no other."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np

from repsam_ros.images import encode_jpeg, read_color
from repsam_ros.metrics.labels import MAIN_SCORES, SCORE_NAMES, TITLES, ImageScores
from repsam_ros.metrics.object_sizes import ObjectResult
from repsam_ros.metrics.statistics import interval_text
from repsam_ros.paths import write_text
from repsam_ros.presentation.html_page import make_page, mapping_table, table, text
from repsam_ros.presentation.score_plots import (
    found_against_true,
    interval,
    iou_by_size,
    score_against_count,
    sorted_bars,
)

COCO_TITLES = {
    "ap": "AP",
    "ap50": "AP at IoU 0.50",
    "ap75": "AP at IoU 0.75",
    "ar1": "AR, best 1 an image",
    "ar10": "AR, best 10",
    "ar100": "AR, best 100",
}
DEPTH_TITLES = {
    "rmse_m": "RMSE, m",
    "mae_m": "MAE, m",
    "rel": "REL",
    "delta_105": "share within a factor of 1.05",
    "delta_110": "share within a factor of 1.10",
    "delta_125": "share within a factor of 1.25",
    "missing": "share without depth",
    "images": "images",
}
_SUBJECT_TITLES = {
    "name": "backend",
    "version": "version of its library",
    "model_sha256": "SHA-256 of the weights",
}
# Prediction and truth of a 640 x 480 frame side by side.
_OVERLAY_WIDTH_PX = 1280


@dataclass(frozen=True)
class ImageResult:
    """One scored image.

    Attributes:
        latency_s: From frame to label map, None where the label map was given.
        objects: The true objects of the image.
        scene: What its sample says.
    """

    name: str
    scores: ImageScores
    latency_s: float | None
    objects: tuple[ObjectResult, ...] = ()
    scene: str = ""


def write_report(
    path: Path, metrics: dict[str, Any], results: list[ImageResult], overlays: Path
) -> None:
    """Writes the report of ``metrics`` as ``metrics.json`` holds them.

    Args:
        overlays: Folder of ``NAME.jpg``; the best, the median and the worst are embedded.
    """
    units = f"the {metrics['scenes']} scenes" if "scenes" in metrics else "images"
    subject = {_SUBJECT_TITLES.get(key, key): value for key, value in metrics["subject"].items()}
    about = {**subject, **_latency(metrics), "repsam_ros": metrics["version"]}
    body = [
        f'<p class="note">{metrics["n"]} images, {metrics["instances"]["true"]} true and '
        f"{metrics['instances']['predicted']} predicted instances. Means over images, percent; "
        f"intervals are 95 % bootstrap over {units}.</p>",
        f'<div class="columns">{_summary(metrics)}<div>{_coco(metrics)}{_depth(metrics)}</div>'
        "</div>",
        "<h2>Every image</h2>",
        '<p class="note">Hold the pointer over a bar or a dot for its name.</p>',
        f'<div class="columns">{"".join(_plots(results))}</div>',
        "<h2>Best, median and worst by overlap F</h2>",
        '<p class="note">Prediction left, truth right; the same hue is the same object. '
        "Pixels without truth are darkened.</p>",
        *(_figure(which, result, overlays) for which, result in _picks(results)),
        "<details><summary>Scores of all images</summary>",
        '<p class="note">A click on a head sorts. Names lead to the overlays, which lie in '
        f"<code>{text(overlays.name)}</code> beside this file.</p>",
        f"{_image_table(results, overlays.name)}</details>",
        "<h2>What was run</h2>",
        mapping_table(about),
        f"<h2>Configuration</h2><pre>{text(_indented(metrics['config']))}</pre>",
    ]
    write_text(path, make_page(f"Evaluation on {metrics['config']['dataset']}", body))


def text_table(metrics: dict[str, Any]) -> str:
    """The means with their intervals, for a terminal."""
    lines = [f"{'percent, mean over images':<26}{'mean':>7}   95 % interval"]
    for name in SCORE_NAMES:
        bounds = interval_text(metrics["ci95"][name], ".1f")
        lines.append(f"{TITLES[name]:<26}{metrics['mean'][name]:>7.1f}   {bounds}")
    lines.append(f"{'images':<26}{metrics['n']:>7}")
    if "scenes" in metrics:
        lines.append(f"{'scenes, drawn as a whole':<26}{metrics['scenes']:>7}")
    lines += [f"{name:<26}{value:>7}" for name, value in _latency(metrics).items()]
    return "\n".join(lines)


def _latency(metrics: dict[str, Any]) -> dict[str, str]:
    if "latency_ms" not in metrics:
        return {}
    return {f"latency {name}, ms": f"{value:.0f}" for name, value in metrics["latency_ms"].items()}


def _summary(metrics: dict[str, Any]) -> str:
    rows = []
    for name in SCORE_NAMES:
        mean, bounds = metrics["mean"][name], metrics["ci95"][name]
        drawn = interval(mean, *(bounds or (mean, mean)))
        rows.append([TITLES[name], f"{mean:.1f}", interval_text(bounds, ".1f"), drawn])
    main = [k for k, name in enumerate(SCORE_NAMES) if name in MAIN_SCORES]
    return table(["score", "mean", "95 % interval", "0 to 100"], rows, main=main)


def _coco(metrics: dict[str, Any]) -> str:
    coco = metrics.get("coco", {})
    if "omitted" in coco:
        return f'<p class="note">COCO AP is left out: {text(coco["omitted"])}.</p>'
    rows = [[text(COCO_TITLES.get(name, name)), _number(value)] for name, value in coco.items()]
    return table(["COCO, all images together", "%"], rows, main=[0]) if rows else ""


def _depth(metrics: dict[str, Any]) -> str:
    depth: Mapping[str, Any] = metrics.get("transparent_depth", {})
    rows = [
        [DEPTH_TITLES[name], str(value) if name == "images" else _number(value, 3)]
        for name, value in depth.items()
    ]
    return table(["sensor's depth on transparent pixels", "mean"], rows) if rows else ""


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _plots(results: list[ImageResult]) -> list[str]:
    plots = [
        sorted_bars(TITLES[name], [(r.name, 100 * getattr(r.scores, name)) for r in results])
        for name in MAIN_SCORES
    ]
    objects = [(each.area_share, each.iou) for result in results for each in result.objects]
    if objects:
        plots.append(iou_by_size(objects))
    scored = [(r.name, r.scores.true, 100 * r.scores.overlap_f) for r in results]
    counted = [(result.scores.true, result.scores.predicted) for result in results]
    return [*plots, score_against_count("Overlap F", scored), found_against_true(counted)]


def _picks(results: list[ImageResult]) -> list[tuple[str, ImageResult]]:
    """The best, the median and the worst, none of them twice where there are few."""
    ranked = sorted(results, key=lambda result: (-result.scores.overlap_f, result.name))
    places = {"best": 0, "median": len(ranked) // 2, "worst": len(ranked) - 1}
    picks = []
    for place in sorted(set(places.values())):
        *first, last = (name for name, chosen in places.items() if chosen == place)
        title = f"{', '.join(first)} and {last}" if first else last
        picks.append((title.capitalize(), ranked[place]))
    return picks


def _figure(which: str, result: ImageResult, overlays: Path) -> str:
    picture = read_color(overlays / f"{result.name}.jpg")
    height, width = picture.shape[:2]
    if width > _OVERLAY_WIDTH_PX:
        size = (_OVERLAY_WIDTH_PX, round(height * _OVERLAY_WIDTH_PX / width))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        width, height = size
    data = base64.b64encode(encode_jpeg(picture, quality=80)).decode()
    scores = result.scores
    caption = (
        f"{which}: {result.name}, overlap F {100 * scores.overlap_f:.1f}, boundary F "
        f"{100 * scores.boundary_f:.1f}, mIoU strict {100 * scores.strict_miou:.1f}, "
        f"{scores.predicted} predicted, {scores.true} true"
    )
    return (
        f"<figure><figcaption>{text(caption)}</figcaption>"
        f'<img alt="Prediction and truth, {text(caption)}" width="{width}" height="{height}" '
        f'src="data:image/jpeg;base64,{data}"></figure>'
    )


def _image_table(results: list[ImageResult], overlays: str) -> str:
    timed = any(result.latency_s is not None for result in results)
    rows = []
    for result in results:
        link = quote(f"{overlays}/{result.name}.jpg")
        row = [f'<a href="{link}">{text(result.name)}</a>']
        row += [f"{100 * getattr(result.scores, name):.1f}" for name in SCORE_NAMES]
        row += [str(result.scores.predicted), str(result.scores.true)]
        if timed:
            row.append("-" if result.latency_s is None else f"{1000 * result.latency_s:.0f}")
        rows.append(row)
    heads = ["image", *(TITLES[name] for name in SCORE_NAMES), "predicted", "true"]
    return table([*heads, "ms"] if timed else heads, rows, sortable=True)


def _indented(config: dict[str, Any], depth: int = 0) -> str:
    lines = []
    for key, value in config.items():
        if isinstance(value, dict):
            lines += [f"{'  ' * depth}{key}:", _indented(value, depth + 1)]
        else:
            lines.append(f"{'  ' * depth}{key}: {value}")
    return "\n".join(lines)
