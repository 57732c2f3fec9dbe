"""The main job from a bag to pictures of grasps, with the real nodes."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from repsam_ros.bags import BagFrames, bag_info, write_bag
from repsam_ros.errors import DatasetError
from repsam_ros.images import read_labels, write_png
from repsam_ros.messages import color_from_either, intrinsics_from_camera_info
from repsam_ros.paths import write_text
from repsam_ros.point_files import write_ply
from repsam_ros.presentation.overlay import draw_overlay
from repsam_ros.progress import track
from repsam_ros.replay.results import write_summary
from repsam_ros.ros.live_replay import instances_of, reported_latency_ms, summarise
from repsam_ros.ros.live_run import LiveResults, run_nodes_on
from repsam_ros.ros.processes import ProcessError
from repsam_ros.structures import Grasp

_SIZE_PX = (640, 480)
_STEPS = (
    ("model ", "model loaded"),
    ("activate: done", "active"),
    ("messages published", "bag played"),
    ("[WARN]", ""),
    ("[ERROR]", ""),
)


def make_demo_bag(path: Path, seed: int, count: int, rate_hz: float) -> None:
    """Renders a bag where there is no whole one of ``count`` frames yet.

    A bag that another tool recorded is left as it is.
    """
    try:
        names = bag_info(path).names
    except DatasetError:  # none, or one that broke off
        pass
    else:
        if not names or len(names) == count:
            return

    from repsam_ros.simulation.frames import render_frames

    width, height = _SIZE_PX
    frames = track(render_frames(seed, count, width, height), count, "rendering")
    write_bag(path, frames, rate_hz, "sqlite3", overwrite=True)


def run_demo(bag: Path, out: Path) -> str:
    """Plays ``bag`` to the nodes and writes what they say into ``out``.

    Written are ``labels/<stamp_ns>.png``, ``overlays/<stamp_ns>.png``, ``points.ply`` (the frame
    with most grasps), ``grasps.json`` and ``summary.json``.

    Returns:
        A table and the paths, for people.

    Raises:
        ProcessError: No mask or no grasp came out, or a node failed.
        DatasetError: The bag cannot be read.
    """
    _remove_old_results(out)
    results = run_nodes_on(
        bag, out, planner=True, keep_clouds=True, every_frame=True, on_line=_show_step
    )
    summary = _summary(bag, results)
    _write_overlays(bag, out, results)
    _write_grasps(out / "grasps.json", results)
    if results.clouds:
        best = max(results.clouds, key=lambda stamp_ns: len(results.grasps.get(stamp_ns, [])))
        write_ply(out / "points.ply", results.clouds[best])
    write_summary(out / "summary.json", summary)
    for what in ("instances", "grasps"):
        if not summary[what]:
            raise ProcessError(
                f"no {what} came out: {summary['published']} of {summary['frames_in_bag']} frames"
                f" published, dropped: {summary['dropped'] or 'none'}"
            )
    return _table(summary, out)


def _summary(bag: Path, results: LiveResults) -> dict[str, Any]:
    summary = summarise(bag, results)
    planner = results.planner
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    versions |= {"repsam_ros": summary["version"], "backend": summary["backend"]["version"]}
    for wheel in ("ros-jazzy-rclpy", "ros-jazzy-rmw-fastrtps-cpp"):
        try:
            versions[wheel] = metadata.version(wheel)
        except metadata.PackageNotFoundError:  # ROS from apt
            continue
    return {
        **summary,
        "instances": sum(results.instance_counts.values()),
        "grasps": sum(len(grasps) for grasps in results.grasps.values()),
        "planner": {
            "published": int(planner["published"]),
            "dropped": int(planner["dropped"]),
            "latency_ms": reported_latency_ms(planner),
        },
        "versions": versions,
    }


def _write_overlays(bag: Path, out: Path, results: LiveResults) -> None:
    for frame in BagFrames(bag):
        stamp_ns = frame.stamp_ns
        if stamp_ns not in results.instance_counts:
            continue
        labels = read_labels(out / "labels" / f"{stamp_ns}.png")
        scores = results.scores.get(stamp_ns, np.zeros(0, np.float32))
        picture = draw_overlay(
            color_from_either(frame.color_msg),
            instances_of(labels, scores),
            _best_of_each(results.grasps.get(stamp_ns, [])),
            intrinsics_from_camera_info(frame.info_msg),
        )
        write_png(out / "overlays" / f"{stamp_ns}.png", picture)


def _best_of_each(grasps: list[Grasp]) -> list[Grasp]:
    """The first grasp on every instance: eight hands on one object hide it."""
    best: dict[int, Grasp] = {}
    for grasp in grasps:
        best.setdefault(grasp.instance_id, grasp)
    return list(best.values())


def _write_grasps(path: Path, results: LiveResults) -> None:
    content = {
        "frame": "camera optical frame; grasp frame: z approach, y closing, origin between the"
        " finger pads",
        "frames": [
            {
                "stamp_ns": stamp_ns,
                "grasps": [
                    {
                        "instance_id": grasp.instance_id,
                        "score": round(grasp.score, 4),
                        "width_m": round(grasp.width_m, 5),
                        "position_m": _rounded(grasp.position_m),
                        "quaternion_xyzw": _rounded(Rotation.from_matrix(grasp.rotation).as_quat()),
                    }
                    for grasp in grasps
                ],
            }
            for stamp_ns, grasps in sorted(results.grasps.items())
        ],
    }
    write_text(path, json.dumps(content, indent=1) + "\n")


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 6) for value in values]


def _table(summary: dict[str, Any], out: Path) -> str:
    dropped = ", ".join(f"{cause} {count}" for cause, count in summary["dropped"].items())
    backend, latency = summary["backend"], summary["latency_ms"]
    planner = summary["planner"]["latency_ms"]
    rows = [
        ("frames in / out", f"{summary['frames_in_bag']} / {summary['published']}"),
        ("dropped, lost", f"{dropped or 'none'}, {summary['lost']}"),
        ("instances", summary["instances"]),
        ("grasps", summary["grasps"]),
        ("perception latency [ms]", f"p50 {latency['p50']:.0f}, p95 {latency['p95']:.0f}"),
        ("planner latency [ms]", f"p50 {planner['p50']:.0f}, p95 {planner['p95']:.0f}"),
        ("model", f"{backend['model']} ({backend['model_sha256'][:12]})"),
        ("backend", f"{backend['name']} {backend['version']}, {backend['device']}"),
        ("pictures", out / "overlays"),
        ("results", f"{out / 'summary.json'}, {out / 'grasps.json'}, {out / 'points.ply'}"),
    ]
    return "\n".join(f"{name:<24} {value}" for name, value in rows)


def _remove_old_results(out: Path) -> None:
    for name in ("summary.json", "grasps.json", "points.ply"):
        (out / name).unlink(missing_ok=True)
    for path in [*out.glob("labels/*.png"), *out.glob("overlays/*.png")]:
        path.unlink()


def _show_step(label: str, line: str) -> None:
    for mark, text in _STEPS:
        if mark in line:
            print(f"{label}: {text or line}", flush=True)
