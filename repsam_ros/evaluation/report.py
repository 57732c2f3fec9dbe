"""The HTML report of an evaluation: one file that needs no other."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repsam_ros.evaluation.metrics import SCORE_NAMES, ImageScores
from repsam_ros.paths import atomic_path

TITLES = {
    "overlap_p": "Overlap P",
    "overlap_r": "Overlap R",
    "overlap_f": "Overlap F",
    "boundary_p": "Boundary P",
    "boundary_r": "Boundary R",
    "boundary_f": "Boundary F",
    "pct75": "%75",
    "strict_miou": "mIoU strict",
    "pooled_miou": "mIoU pooled",
}
_CHARTS = ("overlap_f", "boundary_f", "pct75", "strict_miou")
_CHART_WIDTH, _CHART_HEIGHT, _CHART_MARGIN = 420, 150, 34
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2430; background: #fff;
  max-width: 1320px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #d9dee6; }
th:first-child, td:first-child { text-align: left; } tr.main td { font-weight: 600; }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 1rem 0; }
img { max-width: 100%; } figcaption, .note { color: #5a6475; }
pre { background: #f4f6f9; padding: .8rem; overflow: auto; }
svg text { font: 11px system-ui, sans-serif; fill: #5a6475; }
"""


@dataclass(frozen=True)
class ImageResult:
    """One scored image; ``latency_s`` is None where the label map was given."""

    name: str
    scores: ImageScores
    latency_s: float | None


def write_report(
    path: Path, metrics: dict[str, Any], results: list[ImageResult], overlays: Path
) -> None:
    """Writes the report of ``metrics`` as ``metrics.json`` holds them.

    Args:
        overlays: Folder of ``NAME.jpg``; the best, the median and the worst are embedded.
    """
    ranked = sorted(results, key=lambda result: (-result.scores.overlap_f, result.name))
    picks = {"Best": ranked[0], "Median": ranked[len(ranked) // 2], "Worst": ranked[-1]}
    title = f"Evaluation on {metrics['config']['dataset']}"
    body = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="note">{metrics["n"]} images, {metrics["instances"]["true"]} true and '
        f"{metrics['instances']['predicted']} predicted instances. Means over images, percent; "
        "intervals are 95 % bootstrap over images.</p>",
        _summary_table(metrics),
        "<h2>Every image</h2>",
        '<p class="note">Images in order of their score; the line is the mean. '
        "Hold the pointer over a bar for its name.</p>",
        f'<div class="charts">{"".join(_chart(name, results) for name in _CHARTS)}</div>',
        "<h2>Best, median and worst by overlap F</h2>",
        '<p class="note">Prediction left, truth right; the same hue is the same object. '
        "Pixels without truth are darkened.</p>",
        *(_figure(which, result, overlays) for which, result in picks.items()),
        f"<details><summary>Scores of all images</summary>{_image_table(results)}</details>",
        "<h2>What was run</h2>",
        _mapping_table(
            {**metrics["subject"], **_latency(metrics), "repsam_ros": metrics["version"]}
        ),
        f"<h2>Configuration</h2><pre>{_text(_indented(metrics['config']))}</pre>",
    ]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def text_table(metrics: dict[str, Any]) -> str:
    """The means with their intervals, for a terminal."""
    lines = [f"{'percent, mean over images':<26}{'mean':>7}   95 % interval"]
    for name in SCORE_NAMES:
        low, high = metrics["ci95"][name]
        lines.append(f"{TITLES[name]:<26}{metrics['mean'][name]:>7.1f}   {low:.1f} to {high:.1f}")
    lines.append(f"{'images':<26}{metrics['n']:>7}")
    lines += [f"{name:<26}{value:>7}" for name, value in _latency(metrics).items()]
    return "\n".join(lines)


def _latency(metrics: dict[str, Any]) -> dict[str, str]:
    if "latency_ms" not in metrics:
        return {}
    return {f"latency {name}, ms": f"{value:.0f}" for name, value in metrics["latency_ms"].items()}


def _summary_table(metrics: dict[str, Any]) -> str:
    rows = []
    for name in SCORE_NAMES:
        low, high = metrics["ci95"][name]
        kind = ' class="main"' if name in _CHARTS else ""
        rows.append(
            f"<tr{kind}><td>{TITLES[name]}</td><td>{metrics['mean'][name]:.1f}</td>"
            f"<td>{low:.1f} to {high:.1f}</td></tr>"
        )
    head = "<tr><th>score</th><th>mean</th><th>95 % interval</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _chart(name: str, results: list[ImageResult]) -> str:
    """Sorted bars as SVG."""
    values = sorted(
        ((100 * float(getattr(result.scores, name)), result.name) for result in results),
        reverse=True,
    )
    width = (_CHART_WIDTH - _CHART_MARGIN) / len(values)
    gap = 1.0 if width > 3 else 0.0
    bars = [
        f'<rect x="{_CHART_MARGIN + k * width:.2f}" y="{_height(value):.2f}" '
        f'width="{width - gap:.2f}" height="{_height(0) - _height(value):.2f}" fill="#3b6ea8">'
        f"<title>{_text(image)}: {value:.1f}</title></rect>"
        for k, (value, image) in enumerate(values)
    ]
    grid = [
        f'<line x1="{_CHART_MARGIN}" x2="{_CHART_WIDTH}" y1="{_height(level):.1f}" '
        f'y2="{_height(level):.1f}" stroke="#d9dee6"/>'
        f'<text x="{_CHART_MARGIN - 6}" y="{_height(level) + 4:.1f}" text-anchor="end">'
        f"{level}</text>"
        for level in (0, 25, 50, 75, 100)
    ]
    mean = sum(value for value, _ in values) / len(values)
    line = (
        f'<line x1="{_CHART_MARGIN}" x2="{_CHART_WIDTH}" y1="{_height(mean):.1f}" '
        f'y2="{_height(mean):.1f}" stroke="#c2410c" stroke-width="1.5"/>'
    )
    return (
        f"<figure><figcaption>{TITLES[name]}, mean {mean:.1f}</figcaption>"
        f'<svg width="{_CHART_WIDTH}" height="{_CHART_HEIGHT}" role="img">'
        f"{''.join(grid)}{''.join(bars)}{line}</svg></figure>"
    )


def _height(percent: float) -> float:
    top, bottom = 8, _CHART_HEIGHT - 8
    return bottom - (bottom - top) * percent / 100


def _figure(which: str, result: ImageResult, overlays: Path) -> str:
    data = base64.b64encode((overlays / f"{result.name}.jpg").read_bytes()).decode()
    scores = result.scores
    caption = (
        f"{which}: {result.name}, overlap F {100 * scores.overlap_f:.1f}, boundary F "
        f"{100 * scores.boundary_f:.1f}, mIoU strict {100 * scores.strict_miou:.1f}, "
        f"{scores.predicted} predicted, {scores.true} true"
    )
    return (
        f'<figure><figcaption>{_text(caption)}</figcaption><img alt="{_text(caption)}" '
        f'src="data:image/jpeg;base64,{data}"></figure>'
    )


def _image_table(results: list[ImageResult]) -> str:
    titles = "".join(f"<th>{TITLES[name]}</th>" for name in SCORE_NAMES)
    rows = []
    for result in results:
        cells = "".join(
            f"<td>{100 * getattr(result.scores, name):.1f}</td>" for name in SCORE_NAMES
        )
        counts = f"<td>{result.scores.predicted}</td><td>{result.scores.true}</td>"
        rows.append(f"<tr><td>{_text(result.name)}</td>{cells}{counts}</tr>")
    head = f"<tr><th>image</th>{titles}<th>predicted</th><th>true</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _mapping_table(values: dict[str, Any]) -> str:
    rows = (f"<tr><td>{_text(k)}</td><td>{_text(v)}</td></tr>" for k, v in values.items())
    return f"<table>{''.join(rows)}</table>"


def _indented(config: dict[str, Any], depth: int = 0) -> str:
    lines = []
    for key, value in config.items():
        if isinstance(value, dict):
            lines += [f"{'  ' * depth}{key}:", _indented(value, depth + 1)]
        else:
            lines.append(f"{'  ' * depth}{key}: {value}")
    return "\n".join(lines)


def _text(value: object) -> str:
    return html.escape(str(value))
