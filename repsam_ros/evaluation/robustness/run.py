"""Scores of a pipeline on frames that are disturbed more and more, one disturbance at a time."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros import __version__
from repsam_ros.config import to_plain
from repsam_ros.datasets import Dataset, Sample
from repsam_ros.evaluation.modality import seen
from repsam_ros.evaluation.robustness.config import RobustnessConfig
from repsam_ros.evaluation.robustness.disturbances import DISTURBANCES, disturbed
from repsam_ros.evaluation.robustness.page import draw_curves, page
from repsam_ros.images import write_png
from repsam_ros.metrics.labels import SCORE_NAMES, score_labels
from repsam_ros.metrics.statistics import BootstrapSettings, means_with_intervals, scene_groups
from repsam_ros.paths import write_text
from repsam_ros.progress import track
from repsam_ros.structures import Instances, RgbdFrame

Segment = Callable[[RgbdFrame], Instances]
# A disturbance and its level; None is the frame as it is.
Case = tuple[str, float] | None


def measure(
    dataset: Dataset,
    segment: Segment,
    out: Path,
    *,
    subject: Mapping[str, Any],
    config: RobustnessConfig,
) -> dict[str, Any]:
    """Scores every frame at every level and writes ``robustness.json``, ``.md`` and ``.png``.

    Args:
        subject: What was scored: model, backend, hash.

    Returns:
        The content of ``robustness.json``; scores in percent.
    """
    cases = _cases(config)
    values = np.empty((len(cases), len(dataset), len(SCORE_NAMES)))
    counts, scenes = [], []
    for number, sample in enumerate(track(dataset, len(dataset), "robustness")):
        counts.append(len(np.unique(sample.labels[sample.labels > 0])))
        scenes.append(sample.scene)
        for k, case in enumerate(cases):
            values[k, number] = _scores(segment, sample, case, config)
    groups = scene_groups(scenes)
    plain = values[cases.index(None)]
    curves = {
        name: [
            {"level": level, **_mean(values[_place(cases, name, level)], config.bootstrap, groups)}
            for level in config.levels[name]
        ]
        for name in config.levels
    }
    content = {
        "dataset": config.dataset,
        "images": len(counts),
        "scenes": None if groups is None else len(np.unique(groups)),
        "plain": _mean(plain, config.bootstrap, groups),
        "curves": curves,
        "objects": _by_objects(plain, np.array(counts), scenes, config),
        "subject": dict(subject),
        "config": to_plain(config),
        "version": __version__,
    }
    write_text(out / "robustness.md", page(content))
    write_png(out / "robustness.png", draw_curves(content))
    write_text(out / "robustness.json", json.dumps(content, indent=1) + "\n")
    return content


def _cases(config: RobustnessConfig) -> list[Case]:
    """Every case once; neutral levels are the frame as it is."""
    found: list[Case] = [None]
    for name, levels in config.levels.items():
        found += [(name, level) for level in levels if level != DISTURBANCES[name].neutral]
    return found


def _place(cases: Sequence[Case], name: str, level: float) -> int:
    return cases.index(None if level == DISTURBANCES[name].neutral else (name, level))


def _scores(segment: Segment, sample: Sample, case: Case, config: RobustnessConfig) -> list[float]:
    """Percent, in the order of ``SCORE_NAMES``."""
    frame = sample.frame
    if case is not None:
        name, level = case
        # By name and level too: other levels beside it change nothing.
        key = zlib.crc32(f"{sample.name} {name} {level:g}".encode())
        frame = disturbed(frame, name, level, np.random.default_rng((config.seed, key)))
    labels = segment(seen(frame, config.see)).labels
    scores = score_labels(labels, sample.labels, sample.ignore)
    return [100 * getattr(scores, name) for name in SCORE_NAMES]


def _mean(
    values: NDArray[np.float64], bootstrap: BootstrapSettings, groups: NDArray[np.intp] | None
) -> dict[str, Any]:
    return means_with_intervals(SCORE_NAMES, values, bootstrap, groups)


def _by_objects(
    values: NDArray[np.float64],
    counts: NDArray[np.intp],
    scenes: Sequence[str],
    config: RobustnessConfig,
) -> list[dict[str, Any]]:
    """Images as they are, by their number of true objects; empty classes are left out."""
    classes = np.searchsorted(config.objects, counts)
    rows = []
    for k in np.unique(classes[counts > 0]):
        chosen = (classes == k) & (counts > 0)
        groups = scene_groups(
            [scene for scene, inside in zip(scenes, chosen, strict=True) if inside]
        )
        rows.append(
            {
                "least": 1 if k == 0 else config.objects[k - 1] + 1,
                "most": config.objects[k] if k < len(config.objects) else None,
                "images": int(chosen.sum()),
                **_mean(values[chosen], config.bootstrap, groups),
            }
        )
    return rows
