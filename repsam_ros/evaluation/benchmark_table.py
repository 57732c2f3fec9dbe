"""The benchmark as Markdown."""

from __future__ import annotations

from typing import Any

_COLUMNS = {
    "overlap_f": "overlap F",
    "boundary_f": "boundary F",
    "pct75": "%75",
    "strict_miou": "mIoU strict",
    "ap": "AP",
    "prompted_miou": "mIoU prompted",
}
_PROMPTS = """\
Kinds of prompts:

- automatic: the model finds its prompts itself; everything in the image is scored.
- oracle point: for each true object the pixel that lies deepest in its visible mask.
- oracle box: the tight box of its visible mask.
- jittered box: that box with normal noise on each side, standard deviation a tenth of the box's
  width or height, at most 20 px of an image whose longer side is 1024 px; seed {seed}.

Prompted objects are known, so nothing is searched: their mIoU does not compare with the others.
Boxes are not supported by a model that was trained with points alone.
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
        lines += _dataset_lines(cells, published)
    lines += ["", "## What was run", "", _PROMPTS.format(seed=config["seed"])]
    lines += [_subject_line(*item) for item in content["subjects"].items()]
    return "\n".join([*lines, f"- repsam_ros {content['version']}", ""])


def _dataset_lines(cells: list[dict[str, Any]], published: list[dict[str, Any]]) -> list[str]:
    if all(cell["state"] == "left out" for cell in cells):
        return [f"Left out: {cells[0]['reason']}."]
    heads = ["method", "prompts", "images", *_COLUMNS.values(), "ms"]
    rows = [*map(_measured, cells), *map(_published, published)]
    lines = [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows)]
    failed = {cell["reason"]: None for cell in cells if cell["state"] == "failed"}
    lines += [line for reason in failed for line in ("", f"Failed: {reason}.")]
    if published:
        papers = "; ".join(f"{row['method']}: {row['source']}" for row in published)
        lines += ["", f"Rows in italics are published results, not measured here ({papers})."]
    return lines


def _measured(cell: dict[str, Any]) -> list[str]:
    metrics = cell["metrics"]
    begin = [f"`{cell['method']}`", cell["protocol"]]
    if cell["state"] != "measured":
        blank = ["-"] * (len(_COLUMNS) - 1)
        return [*begin, "-", *blank, cell["state"], "-"]
    latency = metrics.get("latency_ms", {}).get("p50")
    values = [_value(metrics, name) for name in _COLUMNS]
    return [*begin, str(metrics["n"]), *values, "-" if latency is None else f"{latency:.0f}"]


def _value(metrics: dict[str, Any], name: str) -> str:
    if name in metrics["mean"]:
        low, high = metrics["ci95"][name]
        return f"{metrics['mean'][name]:.1f} ({low:.1f} to {high:.1f})"
    value = metrics.get("coco", {}).get(name)
    return "-" if value is None else f"{value:.1f}"


def _published(row: dict[str, Any]) -> list[str]:
    values = ["-" if row.get(name) is None else f"*{row[name]:.1f}*" for name in _COLUMNS]
    return [f"*{row['method']}*", "*published*", "-", *values, "-"]


def _subject_line(method: str, subject: dict[str, Any]) -> str:
    return (
        f"- `{method}`: sha256 `{subject['model_sha256']}`, {subject['name']} "
        f"{subject['version']}, {subject['device']}, {subject['precision']}"
    )
