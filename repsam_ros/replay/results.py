"""What a replay leaves behind: files of each frame, the summary and the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.images import write_jpeg, write_png
from repsam_ros.paths import write_text
from repsam_ros.presentation.overlay import draw_overlay
from repsam_ros.replay.report import write_replay_report
from repsam_ros.replay.truth import Truth, add_scores
from repsam_ros.structures import Instances, RgbdFrame


def remove_old_results(out: Path) -> None:
    """Results of another replay would pass for those of this one."""
    (out / "summary.json").unlink(missing_ok=True)
    for pattern in ("labels/*.png", "overlays/*.jpg"):
        for path in out.glob(pattern):
            if path.stem.isdecimal():
                path.unlink()


def write_frame(out: Path, frame: RgbdFrame, instances: Instances) -> None:
    """Writes the label map and the overlay of one frame."""
    write_png(out / "labels" / f"{frame.stamp_ns}.png", instances.labels)
    write_jpeg(out / "overlays" / f"{frame.stamp_ns}.jpg", draw_overlay(frame.color, instances))


def finish_replay(bag: Path, out: Path, summary: dict[str, Any], truth: Truth) -> None:
    """Adds scores where a truth is given; writes the report and, last, the summary."""
    if truth.is_given:
        add_scores(bag, out, summary, truth)
    write_replay_report(out, summary)
    write_summary(out / "summary.json", summary)


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    """Writes JSON atomically."""
    write_text(path, json.dumps(summary, indent=2) + "\n")


def instance_count(labels: NDArray[np.uint16]) -> int:
    """How many instances a label map has; tracked ids leave gaps."""
    return int(np.count_nonzero(np.bincount(labels.ravel())[1:]))


def latency_ms(latencies_s: list[float]) -> dict[str, float | None]:
    """Percentiles in milliseconds; None where nothing was measured."""
    if not latencies_s:
        return {"p50": None, "p95": None, "p99": None}
    p50, p95, p99 = (1e3 * np.percentile(latencies_s, (50, 95, 99))).round(3).tolist()
    return {"p50": p50, "p95": p95, "p99": p99}
