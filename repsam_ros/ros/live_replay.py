"""Plays a bag to the running nodes and writes down what comes out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros import __version__
from repsam_ros.bags import bag_info, find_topics
from repsam_ros.errors import ConfigError
from repsam_ros.images import read_labels, write_jpeg
from repsam_ros.messages import color_from_either
from repsam_ros.presentation.overlay import draw_overlay
from repsam_ros.replay.config import ReplayConfig, ReplaySettings
from repsam_ros.replay.results import finish_replay, remove_old_results
from repsam_ros.ros.live_run import LiveResults, run_nodes_on
from repsam_ros.structures import Instances


def replay_through_nodes(
    bag: Path,
    out: Path,
    config: ReplayConfig | None = None,
    rate_factor: float = 1.0,
) -> dict[str, Any]:
    """Starts a perception node, plays ``bag`` to it and records its label maps.

    Written are ``labels/<stamp_ns>.png``, ``overlays/<stamp_ns>.jpg``, ``report.html`` and, last,
    ``summary.json``, as by the offline replay. ``lost`` counts frames of the bag that never
    arrived at the node, or left it and never arrived here. Where the node is too slow for the
    bag, frames wait, and the latency shows it.

    Raises:
        ConfigError: The node has no such setting.
        DatasetError: The bag cannot be read.
        ProcessError: A node died or did not answer.
    """
    config = config or ReplayConfig(bag=str(bag))
    if config.compile:
        raise ConfigError("compile: the nodes do not; only without --ros")
    config.truth.check(bag)
    remove_old_results(out)
    parameters = config.node_parameters()
    results = run_nodes_on(
        bag,
        out,
        parameters={name: json.dumps(value) for name, value in parameters.items()},
        every_frame=True,
        rate_factor=rate_factor,
        topics=config.topics,
    )
    summary = summarise(bag, results, config)
    _write_overlays(bag, out, results, config)
    finish_replay(bag, out, summary, config.truth)
    return summary


def summarise(
    bag: Path, results: LiveResults, settings: ReplaySettings | None = None
) -> dict[str, Any]:
    """The summary of a live replay, with the keys of the offline one and ``lost``."""
    settings = settings or ReplaySettings()
    names = {frame.stamp_ns: frame.name for frame in settings.frames(bag)}
    values = results.perception
    recorded = sorted(results.instance_counts)
    lost = len(names) - int(values["pairs"]) + int(values["published"]) - len(recorded)
    return {
        "bag": str(bag),
        "version": __version__,
        "topics": find_topics(bag_info(bag), settings.topics).by_stream(),
        "backend": {
            "name": values["backend"],
            "version": values["backend_version"],
            **{key: values[key] for key in ("device", "model", "model_sha256", "precision")},
        },
        "frames_in_bag": len(names),
        "received": {stream: int(values[f"received_{stream}"]) for stream in ("color", "depth")},
        "pairs": int(values["pairs"]),
        "published": len(recorded),
        "lost": max(lost, 0),
        "dropped": {
            key.removeprefix("dropped."): int(value)
            for key, value in values.items()
            if key.startswith("dropped.")
        },
        "latency_ms": reported_latency_ms(values),
        "frames": [
            {
                "stamp_ns": stamp_ns,
                "name": names.get(stamp_ns),
                "instances": results.instance_counts[stamp_ns],
            }
            for stamp_ns in recorded
        ],
    }


def reported_latency_ms(diagnostics: Mapping[str, str]) -> dict[str, float | None]:
    """Percentiles in a node's diagnostics; None where nothing was measured."""
    values = {
        name: float(diagnostics.get(f"latency_{name}_ms", "nan")) for name in ("p50", "p95", "p99")
    }
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def instances_of(labels: NDArray[np.uint16], scores: NDArray[np.float32]) -> Instances:
    """Instances as far as topics tell: an id without points in the cloud has the score 0."""
    count = int(labels.max(initial=0))
    padded = np.zeros(count, np.float32)
    padded[: min(count, len(scores))] = scores[:count]
    return Instances(labels, padded, np.zeros((count, 2), np.float32))


def _write_overlays(bag: Path, out: Path, results: LiveResults, settings: ReplaySettings) -> None:
    for frame in settings.frames(bag):
        path = out / "labels" / f"{frame.stamp_ns}.png"
        if frame.stamp_ns not in results.instance_counts:
            continue
        scores = results.scores.get(frame.stamp_ns, np.zeros(0, np.float32))
        instances = instances_of(read_labels(path), scores)
        picture = draw_overlay(color_from_either(frame.color_msg), instances)
        write_jpeg(out / "overlays" / f"{frame.stamp_ns}.jpg", picture)
