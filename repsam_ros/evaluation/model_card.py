"""Model cards: what a weight file is and what was measured with it, from the files that say so."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repsam_ros.errors import CheckpointError, DatasetError
from repsam_ros.evaluation.modality import RGBD
from repsam_ros.metrics.statistics import value_text
from repsam_ros.model_files import listed_files
from repsam_ros.network.adapter_files import holds_adapter, read_record
from repsam_ros.network.weights import ModelFile, find_model, read_metadata
from repsam_ros.presentation.markdown import table
from repsam_ros.tensor_files import tensor_sizes

SCORES = {
    "overlap_f": "overlap F",
    "boundary_f": "boundary F",
    "pct75": "%75",
    "strict_miou": "strict mIoU",
}


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: {error}") from error


def _read_log(path: Path) -> list[dict[str, float]]:
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: {error}") from error


def _read_metrics(path: Path, sha256: str) -> dict[str, Any]:
    metrics: dict[str, Any] = _read_json(path)
    measured = metrics["subject"].get("model_sha256")
    if measured != sha256:
        raise CheckpointError(f"{path} was measured with {measured}, the model is {sha256}")
    return metrics


def _result_table(results: Path, sha256: str) -> str:
    rows = []
    for path in sorted(results.glob("*.json")):
        metrics = _read_metrics(path, sha256)
        cells = [value_text(metrics["mean"][name], metrics["ci95"][name]) for name in SCORES]
        seen = metrics["config"].get("see", RGBD)
        stem = path.stem.removesuffix(f"-{seen}")
        rows.append([f"`{stem}`", seen, str(metrics["n"]), *cells])
    return table(["frames", "seen", "n", *SCORES.values()], rows)


def _threshold_part(folder: Path, sha256: str) -> list[str]:
    """Scores at other mask thresholds, from the files of a sub-folder."""
    files = [_read_metrics(path, sha256) for path in folder.glob("*.json")]
    if not files:
        return []

    def threshold(metrics: dict[str, Any]) -> float:
        return float(metrics["config"]["pipeline"]["masks"]["mask_threshold"])

    rows = [
        [f"{threshold(metrics):g}", *(f"{metrics['mean'][name]:.1f}" for name in SCORES)]
        for metrics in sorted(files, key=threshold, reverse=True)
    ]
    return [
        "",
        f"The same on `{files[0]['config']['dataset']}` at other logits from which a pixel belongs"
        " to a mask:",
        "",
        table(["mask_threshold", *SCORES.values()], rows),
    ]


def _described(data: dict[str, Any], pictures: float) -> str:
    """The pictures of the last run in a sentence."""
    if stream := data.get("stream"):
        drawn = f"{pictures / stream['reuse'] / 1000:.0f},000 rendered pictures"
        return (
            f"{drawn}, each drawn {stream['reuse']:g} times on average with fresh sensor noise, of"
            f" scenes that were settled and rendered on the fly, {stream['views_per_scene']} views"
            " a scene; no real frame, no other data set"
        )
    if data.get("source"):
        return f"{pictures / 1000:.0f},000 source pictures, each seen once; no other data set"
    if dataset := data.get("dataset"):
        return f"{pictures:,.0f} drawings of the frames of `{dataset['name']}`"
    pool = data["pool"]
    return (
        f"{pool['pictures']} pictures of {pool['scene_count']} settled scenes, rendered by the run"
        " itself; no real frame, no other data set"
    )


@dataclass(frozen=True)
class _Origin:
    """What a file of weights says of itself: kind and size, version, the last run's settings."""

    what: str
    version: str
    config: dict[str, Any]


def _origin(model: ModelFile, results: Path) -> _Origin:
    if holds_adapter(model.path):
        record = read_record(model.path)
        count, base = _parameters(model.path), find_model(record.base)
        share = 100 * count / _parameters(base.path)
        ranks = record.config.get("ranks", ())
        of_ranks = f" with ranks {' '.join(map(str, ranks))}" if ranks else ""
        what = (
            f"Adapter for [`{base.name}`]({base.name}.md) (sha256 `{base.sha256}`) by the method"
            f" `{record.method}`{of_ranks}: {count:,} parameters, {share:.1f} % of the base's;"
            f" network `{record.network['backbone']}`"
        )
        return _Origin(what, record.version, _read_json(results / "training" / "config.json"))
    metadata = read_metadata(model.path)
    backbone = json.loads(metadata["network"])["backbone"]
    what = f"Network `{backbone}`, {_parameters(model.path) / 1e6:.2f} M parameters"
    return _Origin(what, metadata["repsam_ros"], json.loads(metadata["note"])["config"])


def _parameters(path: Path) -> int:
    """How many numbers of a file are learnt."""
    not_learnt = ("running_", "num_batches", "gaussian")
    sizes = tensor_sizes(path).items()
    return sum(size for name, size in sizes if not any(part in name for part in not_learnt))


def write_model_card(name: str, results: Path) -> str:
    """Markdown of a model's card.

    Args:
        name: Name in ``models/manifest.yaml``.
        results: Folder with ``training-N.jsonl`` (the runs' ``metrics.jsonl``) and the
            ``metrics.json`` of evaluations, renamed after their frames; for an adapter also
            ``training/config.json``, the run's own.

    Raises:
        CheckpointError: There is no such model, or a result was measured with other weights.
        DatasetError: A result file is missing or broken.
    """
    models = listed_files()
    if name not in models:
        known = ", ".join(models)
        raise CheckpointError(f"{name} is not in models/manifest.yaml; there are: {known}")
    model, entry = find_model(name), models[name]
    made = _origin(model, results)
    config, data = made.config, made.config["data"]
    logs = [_read_log(path) for path in sorted(results.glob("training-*.jsonl"))]
    if not logs:
        raise DatasetError(f"{results}: no training-*.jsonl")
    steps = sum(log[-1]["step"] for log in logs)
    minutes = sum(log[-1]["seconds"] for log in logs) / 60
    last = [row["iou"] for row in logs[-1][-10:]]
    height, width = entry["input_px"]
    lines = [
        f"# {name}",
        "",
        "Written by `repsam card`; do not edit.",
        "",
        f"- File `{entry['file']}`, sha256 `{model.sha256}`, {entry['size_bytes'] / 1e6:.1f} MB,"
        f" {entry['license']}",
        f"- {made.what}, canvas {width} x {height} px, RGB and depth",
        f"- Trained by repsam_ros {made.version} with, in this order,",
        *(f"  `{command}`" for command in entry["commands"]),
        f"- Data of the last run: {_described(data, logs[-1][-1]['step'] * config['batch_size'])};"
        f" seed {config['seed']}",
        f"- {steps:.0f} steps in all, those of the last run with {config['batch_size']} pictures"
        f" each, in {minutes:.0f} minutes of training time ({entry['machine']}); mean IoU of"
        f" prompted training masks at the end {sum(last) / len(last):.2f}",
        "",
        "## Measured",
        "",
        "Percent, mean over images, 95 % interval by bootstrap over images. The frames were seen",
        "by no training.",
        "",
        _result_table(results, model.sha256),
        *_threshold_part(results / "mask_threshold", model.sha256),
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in entry["limits"]),
    ]
    return "\n".join(lines) + "\n"
