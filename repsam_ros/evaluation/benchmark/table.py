"""The benchmark as Markdown."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from repsam_ros.metrics.statistics import value_text
from repsam_ros.presentation.markdown import table

_COLUMNS = {
    "overlap_f": "overlap F",
    "boundary_f": "boundary F",
    "pct75": "%75",
    "strict_miou": "mIoU strict",
    "ap": "AP",
    "prompted_miou": "mIoU prompted",
}
# What shares of full fine-tuning are about.
_SHARED = "strict_miou"
_PROMPTS = """\
Kinds of prompts:

- automatic: the model finds its prompts itself; everything in the image is scored.
- oracle point: for each true object the pixel that lies deepest in its visible mask.
- oracle box: the tight box of its visible mask.
- jittered box: that box with normal noise on each side, standard deviation a tenth of the box's
  width or height, at most 20 px of an image whose longer side is 1024 px; seed {seed}.

Prompted objects are known, so nothing is searched: their mIoU does not compare with the others.
No model here takes boxes itself. Boxes are answered through points inside them: of the instances
that a model finds by itself and its masks of five points in the box, the one that fits the box best
is taken and cut to it. A model that was trained with boxes is another matter.

Stored: numbers in the method's own file; an adapter's file holds what was trained and nothing of
its base.
"""


def markdown(content: dict[str, Any]) -> str:
    """The content of ``benchmark.json`` as a page."""
    config = content["config"]
    frames = config["frames"]
    lines = [
        "# Benchmark",
        "",
        "Percent, means over images with 95 % bootstrap intervals; AP over all images together. "
        + ("All frames." if frames is None else f"{frames} frames of each, evenly spread."),
    ]
    for name, place in config["roots"].items():
        kind = place["dataset"] or name
        split = "" if place["split"] is None else f", split {place['split']}"
        lines += ["", f"## {name}{'' if kind == name else f' ({kind})'}{split}", ""]
        cells = [cell for cell in content["cells"] if cell["dataset"] == name]
        published = [row for row in content["published"] if row["dataset"] == kind]
        lines += _dataset_lines(cells, published, content["subjects"], config["full"])
    lines += ["", "## What was run", "", _PROMPTS.format(seed=config["seed"])]
    lines += [_subject_line(*item) for item in content["subjects"].items()]
    return "\n".join([*lines, f"- repsam_ros {content['version']}", ""])


def _dataset_lines(
    cells: list[dict[str, Any]],
    published: list[dict[str, Any]],
    subjects: dict[str, Any],
    full: str | None,
) -> list[str]:
    if all(cell["state"] == "left out" for cell in cells):
        return [f"Left out: {cells[0]['reason']}."]
    share = [] if full is None else [f"share of `{_short(full)}`, {_COLUMNS[_SHARED]}"]
    heads = ["method", "prompts", "images", *_COLUMNS.values(), *share, "stored"]
    of = None if full is None else _mean_of(full, cells)
    rows = [_measured(cell, subjects[cell["method"]], full, of) for cell in cells]
    rows += [_published(row, full) for row in published]
    lines = [table(heads, rows)]
    failed = {cell["reason"]: None for cell in cells if cell["state"] == "failed"}
    lines += [line for reason in failed for line in ("", f"Failed: {reason}.")]
    if published:
        papers = "; ".join(f"{row['method']}: {row['source']}" for row in published)
        lines += ["", f"Rows in italics are published results, not measured here ({papers})."]
    return lines


def _mean_of(method: str, cells: list[dict[str, Any]]) -> float | None:
    found = (c["metrics"] for c in cells if c["method"] == method and c["state"] == "measured")
    means = [m["mean"][_SHARED] for m in found if _SHARED in m["mean"]]
    return float(means[0]) if means else None


def _measured(
    cell: dict[str, Any], subject: dict[str, Any], full: str | None, of: float | None
) -> list[str]:
    metrics, stored = cell["metrics"], subject["stored_values"]
    through = ", through points" if cell["protocol"].endswith(" box") else ""
    begin = [f"`{_short(cell['method'])}`", cell["protocol"] + through]
    end = "-" if stored is None else f"{stored:,}"
    if cell["state"] != "measured":
        blank = ["-"] * (len(_COLUMNS) - (full is None))
        return [*begin, "-", *blank, cell["state"], end]
    values = [_value(metrics, name) for name in _COLUMNS]
    if full is not None:
        mean = metrics["mean"].get(_SHARED)
        values.append(f"{100 * mean / of:.1f} %" if of and mean is not None else "-")
    return [*begin, str(metrics["n"]), *values, end]


def _short(method: str) -> str:
    """Weights of a run are told apart by its folder."""
    path = PurePath(method)
    return method if len(path.parts) < 2 else "/".join(path.parts[-2:])


def _value(metrics: dict[str, Any], name: str) -> str:
    if name in metrics["mean"]:
        return value_text(metrics["mean"][name], metrics["ci95"][name])
    value = metrics.get("coco", {}).get(name)
    return "-" if value is None else f"{value:.1f}"


def _published(row: dict[str, Any], full: str | None) -> list[str]:
    values = ["-" if row.get(name) is None else f"*{row[name]:.1f}*" for name in _COLUMNS]
    share = [] if full is None else ["-"]
    return [f"*{row['method']}*", "*published*", "-", *values, *share, "-"]


def _subject_line(method: str, subject: dict[str, Any]) -> str:
    return (
        f"- `{method}`: sha256 `{subject['model_sha256']}`, {subject['name']} "
        f"{subject['version']}, {subject['device']}, {subject['precision']}"
    )
