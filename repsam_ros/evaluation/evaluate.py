"""Scores of a pipeline, or of given label maps, on a data set."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros import __version__
from repsam_ros.config import write_yaml
from repsam_ros.datasets import Dataset, Sample
from repsam_ros.errors import DatasetError, FrameError
from repsam_ros.evaluation.modality import RGBD, seen
from repsam_ros.evaluation.report import ImageResult, write_report
from repsam_ros.images import find_files, read_labels, write_jpeg, write_png
from repsam_ros.metrics.coco import CocoScorer
from repsam_ros.metrics.labels import COUNT_NAMES, SCORE_NAMES, score_labels
from repsam_ros.metrics.object_sizes import object_results
from repsam_ros.metrics.statistics import (
    BootstrapSettings,
    means_with_intervals,
    scene_groups,
)
from repsam_ros.metrics.transparent_depth import DepthScores, score_transparent_depth
from repsam_ros.paths import write_text
from repsam_ros.presentation.overlay import draw_labels
from repsam_ros.progress import track
from repsam_ros.structures import Instances, RgbdFrame

# Truth has this many hues of its own; unmatched predictions take others.
_UNMATCHED_HUE = 1000


@dataclass(frozen=True)
class Prediction:
    """What is scored.

    Attributes:
        labels: (H, W) uint16 ids, 0 = background.
        scores: Confidence by id, None where only a label map is known.
        latency_s: From frame to label map, None where the map was given.
    """

    labels: NDArray[np.uint16]
    scores: dict[int, float] | None = None
    latency_s: float | None = None


Predict = Callable[[Sample], Prediction]


def predict_with(segment: Callable[[RgbdFrame], Instances], modality: str = RGBD) -> Predict:
    """Predictions of a pipeline's ``segment``, which gets to see ``modality`` of each frame."""

    def predict(sample: Sample) -> Prediction:
        frame = seen(sample.frame, modality)
        start_s = time.perf_counter()
        try:
            instances = segment(frame)
        except FrameError as error:
            raise FrameError(error.cause, f"{sample.name}: {error}") from error
        latency_s = time.perf_counter() - start_s
        scores = {k + 1: float(score) for k, score in enumerate(instances.scores)}
        return Prediction(instances.labels, scores, latency_s)

    return predict


def predict_from_files(folder: Path, names: list[str]) -> Predict:
    """Predictions read from ``folder/NAME.png``; a slash in a name stands for a folder.

    Raises:
        DatasetError: The folder lacks a label map; in use: a map is broken or of a wrong size.
    """
    files: dict[str, Path] = {}
    for place in sorted({PurePosixPath(name).parent for name in names}):
        found = find_files(folder / place)
        files |= {(place / stem).as_posix(): path for stem, path in found.items()}
    missing = [name for name in names if name not in files]
    if missing:
        more = f" ({len(missing)} of {len(names)} are missing)" if len(missing) > 1 else ""
        raise DatasetError(f"{folder}: no label map named {missing[0]}{more}")

    def predict(sample: Sample) -> Prediction:
        labels = read_labels(files[sample.name])
        if labels.shape != sample.labels.shape:
            wanted, got = sample.labels.shape, labels.shape
            raise DatasetError(
                f"{files[sample.name]}: expected {wanted[1]}x{wanted[0]} pixels "
                f"like the truth, got {got[1]}x{got[0]}"
            )
        return Prediction(labels)

    return predict


def evaluate(
    dataset: Dataset,
    predict: Predict,
    out: Path,
    *,
    subject: Mapping[str, Any],
    config: dict[str, Any],
    bootstrap: BootstrapSettings,
) -> dict[str, Any]:
    """Scores every sample and writes results into ``out``.

    Written are ``labels/`` (the predicted maps), ``overlays/`` (prediction beside truth),
    ``per_image.csv``, ``per_image.json`` (the same rows with the score of each instance, from
    which and ``labels/`` COCO AP can be computed again), ``config.yaml``, ``report.html`` and,
    last, ``metrics.json``.

    Args:
        subject: What was scored: model, backend, hash, or the folder of label maps.
        config: The resolved configuration, plain values.

    Returns:
        The content of ``metrics.json``; scores in percent. ``coco`` holds AP and AR of the
        whole data set, or says why they are left out. ``transparent_depth``, where the data set
        has such truth, holds the means of :class:`DepthScores` of the sensor's depth, which no
        method changes: how much there was to go by on glass.

    Raises:
        BackendError: Predictions have scores, but pycocotools is not installed.
    """
    # Old figures beside new label maps would mislead if this run is cut short.
    (out / "metrics.json").unlink(missing_ok=True)
    write_yaml(out / "config.yaml", config)
    results: list[ImageResult] = []
    rows: list[dict[str, Any]] = []
    sensed: list[DepthScores | None] = []
    coco: CocoScorer | None = None
    for sample in track(dataset, len(dataset), "eval"):
        prediction = predict(sample)
        if prediction.scores is not None:
            coco = coco or CocoScorer()
            coco.add(prediction.labels, prediction.scores, sample.labels, sample.ignore)
        scores = score_labels(prediction.labels, sample.labels, sample.ignore)
        write_png(out / "labels" / f"{sample.name}.png", prediction.labels)
        write_jpeg(out / "overlays" / f"{sample.name}.jpg", _side_by_side(sample, prediction))
        objects = object_results(prediction.labels, sample.labels, sample.ignore)
        latency_s = prediction.latency_s
        results.append(ImageResult(sample.name, scores, latency_s, objects, sample.scene))
        sensed.append(_score_sensor(sample))
        rows.append(_row(results[-1], prediction))
    about = {"dataset": config["dataset"], "subject": dict(subject), "config": config}
    scored = {"omitted": "label maps carry no scores"} if coco is None else coco_percent(coco)
    extra = {"coco": scored, **_depth_summary(sensed)}
    metrics = {**summarize(results, bootstrap), **extra, **about}
    write_text(out / "per_image.csv", _csv_text(rows))
    write_text(out / "per_image.json", json.dumps(rows, indent=2) + "\n")
    write_report(out / "report.html", metrics, results, out / "overlays")
    write_text(out / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    return metrics


def summarize(results: list[ImageResult], bootstrap: BootstrapSettings) -> dict[str, Any]:
    """Means over images in percent with bootstrap intervals, and latencies in milliseconds.

    Where scenes are known the intervals are over them, and ``scenes`` is their number.
    """
    values = 100.0 * np.array(
        [[getattr(result.scores, name) for name in SCORE_NAMES] for result in results]
    )
    groups = scene_groups([result.scene for result in results])
    summary: dict[str, Any] = {
        **means_with_intervals(SCORE_NAMES, values, bootstrap, groups),
        "n": len(results),
        "instances": {
            name: sum(getattr(result.scores, name) for result in results) for name in COUNT_NAMES
        },
        "version": __version__,
    }
    if groups is not None:
        summary["scenes"] = len(np.unique(groups))
    latencies_s = [result.latency_s for result in results if result.latency_s is not None]
    if latencies_s:
        p50, p95 = 1000 * np.quantile(latencies_s, (0.5, 0.95))
        summary["latency_ms"] = _rounded({"p50": p50, "p95": p95})
    return summary


def coco_percent(scorer: CocoScorer) -> dict[str, float | None]:
    """AP and AR as files have them; None where there is no object."""
    return {
        name: None if value is None else round(100 * value, 4)
        for name, value in scorer.summarize().items()
    }


def _rounded(values: dict[str, Any]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in values.items()}


def _side_by_side(sample: Sample, prediction: Prediction) -> NDArray[np.uint8]:
    """Prediction and truth; a prediction has the hue of the true object it covers best."""
    hue_ids = _matching_hues(prediction.labels, sample.labels)
    scores = prediction.scores
    captions = None if scores is None else {k: f"{k}: {s:.2f}" for k, s in scores.items()}
    color = sample.frame.color.copy()
    color[sample.ignore] //= 2
    left = draw_labels(color, prediction.labels, captions, hue_ids)
    right = draw_labels(color, sample.labels)
    return np.concatenate((left, right), axis=1)


def _matching_hues(predicted: NDArray[np.uint16], truth: NDArray[np.uint16]) -> dict[int, int]:
    hues = {int(k): int(k) + _UNMATCHED_HUE for k in np.unique(predicted) if k}
    for k in np.unique(truth):
        if k and (under := predicted[(truth == k) & (predicted > 0)]).size:
            best = int(np.bincount(under).argmax())
            if hues[best] == best + _UNMATCHED_HUE:
                hues[best] = int(k)
    return hues


def _score_sensor(sample: Sample) -> DepthScores | None:
    """Of the depth of the frame on glass; None where there is none, or no truth of it."""
    if sample.transparent is None or sample.true_depth_m is None:
        return None
    return score_transparent_depth(sample.frame.depth_m, sample.true_depth_m, sample.transparent)


def _depth_summary(scores: list[DepthScores | None]) -> dict[str, Any]:
    known = [score for score in scores if score is not None]
    if not known:
        return {}
    names = [field.name for field in fields(DepthScores) if field.name != "pixels"]
    means = {name: np.mean([getattr(score, name) for score in known]) for name in names}
    return {"transparent_depth": {**_rounded(means), "images": len(known)}}


def _row(result: ImageResult, prediction: Prediction) -> dict[str, Any]:
    """Percent, milliseconds and, unrounded, the scores of the instances in the label map."""
    values, confidences = asdict(result.scores), prediction.scores
    instances = None
    if confidences is not None:
        ids = [int(k) for k in np.unique(prediction.labels) if k]
        instances = [{"id": k, "score": confidences[k]} for k in ids]
    return {
        "name": result.name,
        **{name: round(100 * values[name], 4) for name in SCORE_NAMES},
        **{name: values[name] for name in COUNT_NAMES},
        "latency_ms": None if result.latency_s is None else round(1000 * result.latency_s, 2),
        "scene": result.scene,
        "instances": instances,
    }


def _csv_text(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    columns = ("name", *SCORE_NAMES, *COUNT_NAMES, "latency_ms", "scene")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
