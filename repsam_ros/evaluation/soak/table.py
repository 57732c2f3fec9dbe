"""A soak's figures as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repsam_ros.presentation.markdown import table


def markdown(summary: Mapping[str, Any]) -> str:
    """The page of what ``repsam soak`` found."""
    machine, age = summary["machine"], summary["age_excess_frames"]
    problems = [f"- {text}" for text in summary["problems"]] or ["There was no problem."]
    rows = [
        ("frames sent", summary["frames_sent"]),
        *_node_rows("perception", summary["perception"]),
        *_node_rows("planner", summary["grasp_planner"]),
        ("received and not accounted for", _counts(summary["unaccounted"])),
        ("lost by the middleware", _counts(summary["lost_on_the_way"])),
        ("end to end, ms", _counts(summary["end_to_end_ms"])),
        ("of it neither the model nor waiting for it, ms", summary["overhead_p50_ms"]),
        ("result older than one inference by at most, frame periods", age),
        ("a newer frame was on its way, ms", _counts(summary["newer_on_its_way_ms"])),
    ]
    for name, usage in summary["usage"].items():
        growth = usage["memory_growth_mb_h"]
        trend = "not judged" if growth is None else f"{growth:+.1f} MB an hour"
        memory = f"{usage['memory_first_mb']:g} to {usage['memory_last_mb']:g} MB, {trend}"
        rows += [
            (f"memory of the {name}", memory),
            (f"CPUs of the {name}", usage["cpu_share"]),
        ]
    head = f"{summary['minutes']:g} minutes at {summary['rate_hz']:g} Hz"
    load = ", ".join(f"{value:.1f}" for value in machine["load_average"])
    lines = [
        f"# Soak: {head}",
        "",
        f"{machine['cpus']} CPUs, {machine['system']}; load at the end (1, 5, 15 minutes): {load}.",
        "",
        *problems,
        "",
        table(["", ""], [(name, str(value)) for name, value in rows]),
    ]
    return "\n".join(lines) + "\n"


def _node_rows(name: str, node: Mapping[str, Any]) -> list[tuple[str, str]]:
    dropped = _counts(node["dropped"])
    return [
        (f"{name}: received", _counts(node["received"])),
        (f"{name}: published; dropped", f"{node['published']}; {dropped}"),
        (f"{name}: times of the last frames, ms", _counts(node["times_ms"])),
    ]


def _counts(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "none"
