"""Masks, pictures and object clouds of RGB-D files."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from repsam_ros import __version__
from repsam_ros.errors import FrameError
from repsam_ros.frame_files import FrameFiles, read_frame
from repsam_ros.images import write_png
from repsam_ros.paths import write_text
from repsam_ros.perception.masks import tight_box
from repsam_ros.perception.pipeline import Pipeline
from repsam_ros.point_files import write_ply
from repsam_ros.presentation.overlay import draw_overlay
from repsam_ros.structures import Instances, Intrinsics, RgbdFrame, SceneCloud


def segment_files(
    files: FrameFiles,
    intrinsics: Intrinsics,
    depth_scale_m: float,
    pipeline: Pipeline,
    out: Path,
) -> int:
    """Runs the pipeline on one frame and writes its four files into ``out``.

    Returns:
        The number of instances.

    Raises:
        DatasetError: A file is missing or broken.
        FrameError: The frame cannot be used; the message names the file.
    """
    frame = read_frame(files, intrinsics, depth_scale_m)
    start_s = time.perf_counter()
    try:
        scene = pipeline.perceive(frame)
    except FrameError as error:
        raise FrameError(error.cause, f"{files.color}: {error}") from error
    latency_s = time.perf_counter() - start_s
    write_png(out / "labels" / f"{files.name}.png", scene.instances.labels)
    picture = draw_overlay(frame.color, scene.instances)
    write_png(out / "overlays" / f"{files.name}.png", picture)
    write_ply(out / "points" / f"{files.name}.ply", scene.cloud)
    content = {
        "name": files.name,
        "color": str(files.color),
        "depth": str(files.depth),
        "pipeline": asdict(pipeline.info),
        "version": __version__,
        "latency_ms": round(1000 * latency_s, 2),
        **describe_scene(frame, scene.instances, scene.cloud),
    }
    write_text(out / "instances" / f"{files.name}.json", json.dumps(content, indent=2) + "\n")
    return len(scene.instances)


def describe_scene(frame: RgbdFrame, instances: Instances, cloud: SceneCloud) -> dict[str, Any]:
    """Instances, support plane and camera of one frame as plain values."""
    plane = cloud.support_plane
    return {
        "frame_id": cloud.frame_id,
        "stamp_ns": cloud.stamp_ns,
        "intrinsics": asdict(frame.intrinsics),
        "support_plane": plane
        and {"normal": _rounded(plane.normal), "offset_m": round(float(plane.offset_m), 5)},
        "instances": [_describe_instance(k, instances, cloud) for k in range(len(instances))],
    }


def _describe_instance(k: int, instances: Instances, cloud: SceneCloud) -> dict[str, Any]:
    """``box_px`` is x, y, width, height; ``center_m`` and ``size_m`` are of the cloud's box."""
    mask = instances.labels == k + 1
    points = cloud.points_m[cloud.instance_ids == k + 1]
    description: dict[str, Any] = {
        "id": k + 1,
        "score": round(float(instances.scores[k]), 4),
        "prompt_px": _rounded(instances.prompts_px[k]),
        "area_px": int(mask.sum()),
        "box_px": None,
        "points": len(points),
        "center_m": None,
        "size_m": None,
    }
    if mask.any():
        left, top, right, bottom = tight_box(mask).astype(int).tolist()
        description["box_px"] = [left, top, right - left + 1, bottom - top + 1]
    if len(points):
        lowest, highest = points.min(axis=0), points.max(axis=0)
        description["center_m"] = _rounded((lowest + highest) / 2)
        description["size_m"] = _rounded(highest - lowest)
    return description


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 5) for value in values]
