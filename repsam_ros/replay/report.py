"""What a replay says to people: a table for the terminal and a page with every overlay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from repsam_ros.images import write_png
from repsam_ros.metrics.labels import TITLES
from repsam_ros.paths import write_text
from repsam_ros.presentation.charts import draw_chart
from repsam_ros.presentation.html_page import make_page, mapping_table, text

_LATENCY = "latency.png"
_MAIN_SCORES = ("overlap_f", "boundary_f", "pct75")


def text_table(summary: dict[str, Any]) -> str:
    """The figures of a summary, for a terminal."""
    rows = _rows(summary)
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def write_replay_report(out: Path, summary: dict[str, Any]) -> None:
    """Writes ``report.html`` with every ``overlays/<stamp_ns>.jpg``, and ``latency.png`` for it."""
    frames = summary["frames"]
    figures = "".join(_figure(frame) for frame in frames if (out / _overlay(frame)).is_file())
    body = [mapping_table(dict(_rows(summary)))]
    if summary.get("scores"):
        shown = {TITLES[name]: f"{value:.1f}" for name, value in summary["scores"].items()}
        body.append(mapping_table(shown, f"Means of {summary['scored']} frames, percent"))
    if summary["dropped"]:
        body.append(mapping_table(summary["dropped"], "Dropped, by cause"))
    if summary.get("latencies_ms"):
        values = {"latency": summary["latencies_ms"]}
        write_png(
            out / _LATENCY, draw_chart("Latency of each frame", "ms", values, x_label="frame")
        )
        body.append(f'<figure><img src="{_LATENCY}" alt="Latency of each frame, in ms"></figure>')
    body.append(f'<h2>Frames</h2><div class="frames">{figures}</div>')
    page = make_page(f"Replay of {Path(summary['bag']).name}", body)
    write_text(out / "report.html", page)


def _rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    received = summary["received"]
    dropped = ", ".join(f"{cause} {count}" for cause, count in summary["dropped"].items())
    latency_ms = {
        name: "-" if value is None else f"{value:.1f}"
        for name, value in summary["latency_ms"].items()
    }
    instances = sum(frame["instances"] for frame in summary.get("frames", []))
    backend = summary.get("backend", {})
    rows = [
        ("bag", str(summary["bag"])),
        ("topics", ", ".join(summary["topics"].values())),
        ("received", ", ".join(f"{count} {name}" for name, count in received.items())),
        ("published", f"{summary['published']} frames, {instances} instances"),
        ("dropped", dropped or "none"),
        *([("lost", str(summary["lost"]))] if "lost" in summary else []),
        *_score_row(summary),
        ("latency [ms]", ", ".join(f"{name} {value}" for name, value in latency_ms.items())),
    ]
    shown = [
        str(backend[key]) for key in ("name", "device", "model", "precision") if key in backend
    ]
    if shown:
        rows.append(("backend", ", ".join(shown)))
    return rows


def _score_row(summary: dict[str, Any]) -> list[tuple[str, str]]:
    if not summary.get("scores"):
        return []
    shown = (f"{TITLES[name]} {summary['scores'][name]:.1f}" for name in _MAIN_SCORES)
    return [("scores [%]", f"{', '.join(shown)} ({summary['scored']} frames)")]


def _overlay(frame: dict[str, Any]) -> str:
    return f"overlays/{frame['stamp_ns']}.jpg"


def _figure(frame: dict[str, Any]) -> str:
    name = text(frame.get("name") or frame["stamp_ns"])
    scores = frame.get("scores", {})
    score = "".join(f", {TITLES[key]} {scores[key]:.1f}" for key in _MAIN_SCORES if scores)
    return (
        f'<figure><img loading="lazy" src="{_overlay(frame)}" alt="{name}">'
        f"<figcaption>{name}: {frame['instances']} instances{score}</figcaption></figure>"
    )
