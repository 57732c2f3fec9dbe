"""From weights to a folder of graphs with a manifest."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
import torch

from repsam_ros import __version__
from repsam_ros.backends import BackendConfig
from repsam_ros.backends._graph_folder import FORMAT, MANIFEST, GraphFolder
from repsam_ros.backends.onnxruntime import build as build_onnxruntime
from repsam_ros.backends.torch import TorchBackend
from repsam_ros.config import to_plain, write_yaml
from repsam_ros.errors import ConfigError
from repsam_ros.export.graphs import PRECISIONS, STATE
from repsam_ros.export.onnx_files import write_graphs
from repsam_ros.export.parity import check_parity, measure_parity
from repsam_ros.methods import load_model, open_method
from repsam_ros.network.adapter_files import holds_adapter, read_record
from repsam_ros.network.build import NetworkConfig, RepSam, build_network
from repsam_ros.network.weights import ModelFile, find_model

_log = logging.getLogger(__name__)
_CONFIG = "config.yaml"
_RANDOM_STD = 0.05


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What is exported.

    Attributes:
        model: Name in ``models/manifest.yaml``, or file of weights or of an adapter.
        backbone: Instead of a model, a network with random weights on this backbone, for
            benchmarks.
        seed: Of the random weights.
        precisions: Of the graphs, ``fp32`` and ``fp16``.
    """

    model: str = "repsam_tiny"
    backbone: str | None = None
    seed: int = 0
    precisions: tuple[str, ...] = PRECISIONS

    def __post_init__(self) -> None:
        if not self.precisions or set(self.precisions) - set(PRECISIONS):
            raise ConfigError(
                f"precisions must be some of {', '.join(PRECISIONS)}, got {list(self.precisions)}"
            )


def export_model(config: ExportConfig, out: Path) -> dict[str, Any]:
    """Writes graphs that compute what the model computes; the manifest comes last.

    Returns:
        The manifest.

    Raises:
        BackendError: The graphs compute something else; nothing is written then.
        CheckpointError, ConfigError: No such model, or one that cannot be exported.
    """
    network, model = load_exported(config)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "model": {
            "name": model.name,
            "sha256": model.sha256,
            "network": to_plain(network.config),
            "canvas_px": list(network.spec.canvas_px),
        },
        "repsam_ros": __version__,
        "graphs": {},
        "state": list(STATE),
        "versions": _versions(),
        "parity": {},
        "command": to_plain(config),
    }
    reference = TorchBackend(network, model, "fp32")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".export-") as name:
        folder = Path(name)
        for precision in config.precisions:
            _log.info("exporting %s in %s", model.name, precision)
            manifest["graphs"][precision] = write_graphs(network, precision, folder)
            _write_manifest(folder, manifest)
            session = build_onnxruntime(
                BackendConfig("onnxruntime", str(folder), precision=precision)
            )
            parity = measure_parity(session, reference)
            session.close()
            check_parity(parity, precision)
            manifest["parity"][precision] = parity.to_plain()
        _write_manifest(folder, manifest)
        write_yaml(folder / _CONFIG, to_plain(config))
        _publish(folder, out)
    return manifest


def _publish(folder: Path, out: Path) -> None:
    """Moves all files; a folder without a manifest is none of graphs, so that comes last."""
    (out / MANIFEST).unlink(missing_ok=True)
    files = sorted(folder.iterdir(), key=lambda path: path.name == MANIFEST)
    for path in files:
        path.replace(out / path.name)
    GraphFolder(out)


def _write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def load_exported(config: ExportConfig) -> tuple[RepSam, ModelFile]:
    """The network that is exported.

    Raises:
        CheckpointError, ConfigError: No such model, or one that cannot be exported.
    """
    if config.backbone is not None:
        return _random_network(config.backbone, config.seed)
    found = find_model(config.model)
    if holds_adapter(found.path):
        record = read_record(found.path)
        if not open_method(record.method, record.config).mergeable:
            raise ConfigError(
                f"{found.name} was adapted with {record.method}, whose layers depend on the image "
                "and so cannot become weights: it runs on the backend torch only"
            )
    return load_model(config.model)


def _random_network(backbone: str, seed: int) -> tuple[RepSam, ModelFile]:
    """Nothing in it is zero, such as tables of positions, so that parity sees every layer."""
    torch.manual_seed(seed)
    network = build_network(NetworkConfig(backbone))
    digest = hashlib.sha256()
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=_RANDOM_STD)
            digest.update(parameter.numpy().tobytes())
    return network, ModelFile(f"{backbone}_seed{seed}", Path(), digest.hexdigest())


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": ort.__version__,
    }
