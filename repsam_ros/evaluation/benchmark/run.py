"""Benchmark x method x kind of prompt, cell by cell; a cell that was measured is kept."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from repsam_ros import __version__
from repsam_ros.config import to_plain, write_yaml
from repsam_ros.datasets import Dataset, Sample, dataset_format, open_dataset
from repsam_ros.errors import RepsamError
from repsam_ros.evaluation.benchmark.config import BenchmarkConfig, model_and_modality
from repsam_ros.evaluation.benchmark.prompting import JITTERED_BOX, PROMPTS, score_prompted
from repsam_ros.evaluation.benchmark.published_results import PUBLISHED
from repsam_ros.evaluation.benchmark.table import markdown
from repsam_ros.evaluation.evaluate import coco_percent, predict_with, summarize
from repsam_ros.evaluation.modality import seen
from repsam_ros.evaluation.report import ImageResult
from repsam_ros.metrics.coco import CocoScorer
from repsam_ros.metrics.labels import SCORE_NAMES, score_labels
from repsam_ros.metrics.statistics import BootstrapSettings, means_with_intervals, scene_groups
from repsam_ros.network.weights import find_model, stored_values
from repsam_ros.paths import write_text
from repsam_ros.perception.pipeline import Pipeline
from repsam_ros.progress import track

AUTOMATIC = "automatic"
PROTOCOLS = (AUTOMATIC, *PROMPTS)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cell:
    """One data set, method and kind of prompt.

    Attributes:
        state: ``measured``, ``failed`` or ``left out``.
        reason: Why it was not measured.
        metrics: Percent: what ``repsam eval`` gives, or the mean of ``prompted_miou``.
    """

    dataset: str
    method: str
    protocol: str
    state: str = "measured"
    reason: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Frames:
    """The chosen frames of a data set, as far as a method sees them."""

    kind: str
    dataset: Dataset
    indices: list[int]
    modality: str

    @property
    def names(self) -> list[str]:
        names = self.dataset.names
        return [names[index] for index in self.indices]

    def read(self, what: str) -> Iterator[tuple[int, Sample]]:
        return track(((k, self._seen(k)) for k in self.indices), len(self.indices), what)

    def _seen(self, index: int) -> Sample:
        sample = self.dataset[index]
        return replace(sample, frame=seen(sample.frame, self.modality))


def run_benchmark(config: BenchmarkConfig, out: Path) -> list[Cell]:
    """Measures every cell that was not measured before with the same settings.

    Written are ``config.yaml``, ``cells/`` (each with its rows of images) and, last,
    ``benchmark.md`` and ``benchmark.json``. A data set that cannot be read gives failed cells.

    Raises:
        CheckpointError, ConfigError, BackendError: A method cannot be opened.
    """
    for name in ("benchmark.json", "benchmark.md"):
        (out / name).unlink(missing_ok=True)
    # A wrong name shows before hours of work.
    files = {method: find_model(model_and_modality(method)[0]) for method in config.methods}
    write_yaml(out / "config.yaml", to_plain(config))
    cells, subjects = [], {}
    for method in config.methods:
        pipeline = replace(config.run, model=model_and_modality(method)[0]).open()
        subjects[method] = {
            **asdict(pipeline.info),
            "stored_values": stored_values(files[method].path),
        }
        for name in config.roots:
            cells += _dataset_cells(config, name, method, pipeline, out / "cells")
        pipeline.close()
    formats = {config.format_of(name) for name in config.roots}
    content = {
        "cells": [asdict(cell) for cell in cells],
        "published": [asdict(row) for row in PUBLISHED if row.dataset in formats],
        "subjects": subjects,
        "config": to_plain(config),
        "version": __version__,
    }
    write_text(out / "benchmark.md", markdown(content))
    write_text(out / "benchmark.json", json.dumps(content, indent=2) + "\n")
    return cells


def _dataset_cells(
    config: BenchmarkConfig, name: str, method: str, pipeline: Pipeline, folder: Path
) -> list[Cell]:
    kind, place = config.format_of(name), config.roots[name]
    blank = [Cell(name, method, protocol) for protocol in PROTOCOLS]
    if reason := getattr(dataset_format(kind), "NO_INSTANCES", ""):
        return [replace(cell, state="left out", reason=reason) for cell in blank]
    cells: list[Cell] = []
    try:
        dataset = open_dataset(kind, Path(place.root), place.split, **place.options)
        chosen = _spread(len(dataset), config.frames)
        frames = _Frames(kind, dataset, chosen, model_and_modality(method)[1])
        for cell in blank:
            cells.append(_cell(cell, config, pipeline, frames, folder))
    except RepsamError as error:
        rest = blank[len(cells) :]
        cells += [replace(cell, state="failed", reason=str(error)) for cell in rest]
    return cells


def _cell(
    cell: Cell, config: BenchmarkConfig, pipeline: Pipeline, frames: _Frames, folder: Path
) -> Cell:
    key = {
        "dataset": [frames.kind, to_plain(config.roots[cell.dataset])],
        "see": frames.modality,
        "frames_sha256": hashlib.sha256("\n".join(frames.names).encode()).hexdigest(),
        "subject": asdict(pipeline.info),
        "pipeline": to_plain(pipeline.settings),
        "protocol": cell.protocol,
        "seed": config.seed if cell.protocol == JITTERED_BOX else None,
        "bootstrap": to_plain(config.bootstrap),
        "version": __version__,
    }
    stem = "--".join(quote(part, safe="") for part in (cell.dataset, cell.protocol, cell.method))
    path = folder / f"{stem}.json"
    metrics = _measured_before(path, key)
    if metrics is None:
        what = f"{cell.dataset}, {cell.protocol}, {Path(cell.method).stem}"
        if cell.protocol == AUTOMATIC:
            metrics, rows = _automatic(pipeline, frames, config.bootstrap, what)
        else:
            metrics, rows = _prompted(pipeline, frames, cell.protocol, config, what)
        write_text(path, json.dumps({"key": key, "metrics": metrics, "images": rows}, indent=2))
    return replace(cell, metrics=metrics)


def _measured_before(path: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
        metrics: dict[str, Any] = content["metrics"]
        return metrics if content["key"] == key else None
    except (ValueError, KeyError, TypeError):
        _logger.warning("%s: not readable, it is measured again", path)
        return None


def _automatic(
    pipeline: Pipeline, frames: _Frames, bootstrap: BootstrapSettings, what: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    predict, coco, results = predict_with(pipeline.segment), CocoScorer(), []
    for _, sample in frames.read(what):
        prediction = predict(sample)
        coco.add(prediction.labels, prediction.scores or {}, sample.labels, sample.ignore)
        scores = score_labels(prediction.labels, sample.labels, sample.ignore)
        # Scores are worth the same on a busy machine; `repsam bench` is what measures time.
        results.append(ImageResult(sample.name, scores, latency_s=None, scene=sample.scene))
    rows = [
        {"name": r.name, "scene": r.scene}
        | {name: round(100 * getattr(r.scores, name), 4) for name in SCORE_NAMES}
        for r in results
    ]
    return {**summarize(results, bootstrap), "coco": coco_percent(coco)}, rows


def _prompted(
    pipeline: Pipeline, frames: _Frames, prompt: str, config: BenchmarkConfig, what: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    # Elsewhere lie objects without a label, but of one that is asked for it is known that it does
    # not lie there.
    whole = getattr(dataset_format(frames.kind), "PARTLY_LABELLED", False)
    rows: list[dict[str, Any]] = []
    for index, sample in frames.read(what):
        seed = (config.seed, index)
        miou = score_prompted(pipeline, sample, prompt, whole_image=whole, seed=seed)
        if miou is not None:
            value = round(100 * miou, 4)
            rows.append({"name": sample.name, "scene": sample.scene, "prompted_miou": value})
    if not rows:
        return {"mean": {}, "ci95": {}, "n": 0}, rows
    values = np.array([[row["prompted_miou"]] for row in rows])
    groups = scene_groups([row["scene"] for row in rows])
    told = means_with_intervals(("prompted_miou",), values, config.bootstrap, groups)
    return {**told, "n": len(rows)}, rows


def _spread(count: int, frames: int | None) -> list[int]:
    """Evenly over the data set, first and last frame among them."""
    chosen = count if frames is None else min(frames, count)
    return [int(k) for k in np.linspace(0, count - 1, chosen).round()]
