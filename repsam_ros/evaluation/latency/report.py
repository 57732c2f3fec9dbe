"""A benchmark's result for people: a table in Markdown and a picture of the stages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repsam_ros.evaluation.latency.stages import FRAME, STAGES
from repsam_ros.metrics.labels import MAIN_SCORES
from repsam_ros.paths import write_text
from repsam_ros.presentation.markdown import table
from repsam_ros.presentation.stacked_bars import COLORS, stacked_bars

_SPEED_UPS = {
    "frame_to_reference": "frame, PyTorch eager",
    "encoder_to_reference": "encoder, PyTorch eager",
    "encoder_to_segment_anything": "encoder, segment-anything eager",
    "frame_to_mask_generator": "frame, SamAutomaticMaskGenerator",
    "segmentation_to_mask_generator": "frame without clouds, SamAutomaticMaskGenerator",
}


def write_report(result: Mapping[str, Any], out: Path) -> None:
    """Writes ``bench.md`` and ``stages.svg``."""
    write_text(out / "bench.md", make_table(result))
    backends = result["backends"]
    rows = {
        name: {stage: entry["times_ms"][stage]["median"] for stage in STAGES}
        for name, entry in backends.items()
    }
    ends = {name: f"{each['times_ms'][FRAME]['median']:.0f} ms" for name, each in backends.items()}
    colors = dict(zip(STAGES, COLORS, strict=False))
    write_text(out / "stages.svg", stacked_bars(colors, rows, ends))


def make_table(result: Mapping[str, Any]) -> str:
    """The Markdown file's text."""
    command, frames, machine = result["command"], result["frames"], result["machine"]
    parts = [
        f"# Latency of {command['model']}",
        f"{command['frames']} frames of {frames['width']}x{frames['height']} "
        f"({frames['different']} different, {command['input']}), each through all backends before "
        f"the next, after {command['warm_up']} of warm-up. {machine['processor']}, "
        f"{machine['usable_cores']} cores, {', '.join(machine['instructions'])}; "
        f"load {machine['load_average']} before the run. "
        + ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        + ".",
        "Written by `repsam bench`; the figures are those of `bench.json`.",
        "## Stages\n\nMedian [ms]; of the frame also the 95th percentile and the interquartile "
        "range.\n\n" + _stages(result),
        "![shares of the stages](stages.svg)",
        "## Speed\n\nTimes as fast as, in the same rounds: median (quartiles).\n\n"
        + _speed_ups(result["backends"]),
        *_others(result),
        "## Masks\n\n" + _masks(result["masks"]),
        "## Camera at a fixed rate\n\n" + _fixed_rates(result["backends"]),
        "## Clouds\n\n" + _clouds(result["clouds"]),
    ]
    if result["skipped"]:
        lines = (f"- {name}: {reason}" for name, reason in result["skipped"].items())
        parts.append("## Left out\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _stages(result: Mapping[str, Any]) -> str:
    heads = ["backend", "device", "precision", *STAGES, FRAME, "p95", "IQR"]
    heads += ["outside the network", "memory: loaded, peak [MB]"]
    rows = []
    for name, entry in result["backends"].items():
        info, times, memory = entry["info"], entry["times_ms"], entry["memory_mb"]
        whole = times[FRAME]
        values = [times[stage]["median"] for stage in STAGES]
        values += [whole["median"], whole["p95"], whole["iqr"]]
        rows.append(
            [
                name,
                info["device"],
                info["precision"],
                *(f"{value:.1f}" for value in values),
                f"{100 * entry['share_outside_network']['median']:.0f} %",
                f"{memory['loaded']:.0f}, {memory['peak']:.0f}" if memory else "-",
            ]
        )
    return table(heads, rows)


def _speed_ups(backends: Mapping[str, Any]) -> str:
    there = [what for what in _SPEED_UPS if any(what in e["speed_up"] for e in backends.values())]
    rows = []
    for name, entry in backends.items():
        cells = [entry["speed_up"].get(what) for what in there]
        rows.append(
            [name]
            + [f"{c['median']:.2f} ({c['p25']:.2f}-{c['p75']:.2f})" if c else "-" for c in cells]
        )
    return table(["backend", *(_SPEED_UPS[what] for what in there)], rows)


def _others(result: Mapping[str, Any]) -> list[str]:
    rows = [
        [name.replace("_", " "), part, *(f"{t[key]:.1f}" for key in ("median", "p95", "iqr"))]
        for name, times in result["others_ms"].items()
        for part, t in times.items()
    ]
    return [table(["with the same weights [ms]", "of", "median", "p95", "IQR"], rows)] * bool(rows)


def _masks(masks: Mapping[str, Any]) -> str:
    rows = [
        [name, *(f"{100 * scores[key]:.1f}" for key in MAIN_SCORES)]
        for name, scores in masks["scores"].items()
    ]
    heads = ["way", "overlap F", "boundary F", "%75", "strict mIoU"]
    return f"Means over {masks['frames']} of the frames [%].\n\n" + table(heads, rows)


def _fixed_rates(backends: Mapping[str, Any]) -> str:
    heads = ["backend", "camera [Hz]", "sent", "missed", "mean fps", "latency first, last [ms]"]
    heads += ["latency median, max [ms]", "jitter mean, max, std [ms]", "CPU"]
    rows = []
    for name, entry in backends.items():
        for run in entry["fixed_rate"]:
            late, jitter = run["latency_ms"], run["jitter_ms"]
            rows.append(
                [
                    name,
                    f"{run['rate_hz']:g}",
                    str(run["sent"]),
                    str(run["missed"]),
                    f"{run['mean_fps']:.1f}",
                    f"{late['first']:.0f}, {late['last']:.0f}",
                    f"{late['median']:.0f}, {late['max']:.0f}",
                    f"{jitter['mean']:.0f}, {jitter['max']:.0f}, {jitter['std']:.0f}"
                    if jitter
                    else "-",
                    f"{run['cpu_percent']:.0f} %",
                ]
            )
    return table(heads, rows)


def _clouds(clouds: Mapping[str, Any]) -> str:
    rows = [
        [name.replace("_", " "), *(f"{times[key]:.1f}" for key in ("median", "p95", "iqr"))]
        for name, times in clouds["times_ms"].items()
    ]
    text = f"{clouds['objects']} objects on {clouds['object_px']} pixels of 640x480 [ms].\n\n"
    text += table(["way", "median", "p95", "IQR"], rows)
    if ratio := clouds.get("speed_up_to_open3d"):
        text += (
            f"\n\nThe complete cloud with normals is {ratio['median']:.2f} "
            f"({ratio['p25']:.2f}-{ratio['p75']:.2f}) times as fast as Open3D object by object, "
            "which makes no surroundings and no support plane."
        )
    for reason in clouds.get("skipped", {}).values():
        text += f"\n\nNot compared: {reason}."
    return text
