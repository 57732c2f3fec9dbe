"""Files that hold what adaptation changed, and what it was changed from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from repsam_ros import __version__
from repsam_ros.errors import CheckpointError
from repsam_ros.network.build import RepSam
from repsam_ros.network.weights import check_fit, read_metadata, read_safetensors
from repsam_ros.paths import atomic_path

_FORMAT = "repsam_adapter"


@dataclass(frozen=True)
class AdapterRecord:
    """Where an adapter comes from.

    Attributes:
        method: Name of the method that trained it.
        config: The method's resolved configuration; with it the method needs no data to put its
            layers into a network.
        network: Configuration of the network.
        base: Name or path of the base weights.
        base_sha256: Hash of the base's file.
        seed: Of the training run.
        cka: The CKA report that the ranks come from.
        version: Of this package, when it was saved.
    """

    method: str
    config: Mapping[str, Any]
    network: Mapping[str, Any]
    base: str
    base_sha256: str
    seed: int
    cka: Mapping[str, Any] | None = None
    version: str = __version__


def tuned_tensors(network: RepSam, base_groups: tuple[str, ...] = ("",)) -> dict[str, Tensor]:
    """What a prepared network holds beyond its base, by name.

    These are the trainable parameters, the statistics of norms that are trained, the random
    matrices of VeRA (once, though every layer refers to them) and all that the base lacks.

    Args:
        base_groups: Beginnings of the names that the base's file holds; an official checkpoint
            holds its backbone's ``official_groups`` only.
    """
    trained = {name for name, value in network.named_parameters() if value.requires_grad}
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm) and module.weight.requires_grad:
            trained |= {f"{name}.{buffer}" for buffer, _ in module.named_buffers(recurse=False)}
    tensors: dict[str, Tensor] = {}
    projections: set[int] = set()
    for name, value in network.state_dict().items():
        if ".vera_A." in name or ".vera_B." in name:
            if value.data_ptr() not in projections:
                projections.add(value.data_ptr())
                tensors[name] = value
        elif name in trained or not name.startswith(base_groups):
            tensors[name] = value
    return tensors


def save_adapter(
    path: Path, network: RepSam, record: AdapterRecord, base_groups: tuple[str, ...] = ("",)
) -> None:
    """Writes :func:`tuned_tensors` and the record as safetensors."""
    tensors = {
        name: value.detach().cpu().contiguous()
        for name, value in tuned_tensors(network, base_groups).items()
    }
    metadata = {"format": "pt", _FORMAT: json.dumps(vars(record))}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata)


def holds_adapter(path: Path) -> bool:
    """Whether a file of weights is an adapter's; other formats are not."""
    return path.suffix == ".safetensors" and _FORMAT in read_metadata(path)


def read_adapter(path: Path) -> tuple[AdapterRecord, dict[str, Tensor]]:
    """The record and the tensors of an adapter's file.

    Raises:
        CheckpointError: Not a safetensors file, or not one of an adapter.
    """
    tensors, metadata = read_safetensors(path)
    return _record(path, metadata), tensors


def read_record(path: Path) -> AdapterRecord:
    """As :func:`read_adapter`, without reading the tensors."""
    return _record(path, read_metadata(path))


def _record(path: Path, metadata: Mapping[str, str]) -> AdapterRecord:
    if _FORMAT not in metadata:
        raise CheckpointError(f"{path} holds no adapter")
    try:
        return AdapterRecord(**json.loads(metadata[_FORMAT]))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: its record cannot be read: {error}") from error


@torch.no_grad()
def load_adapter(
    path: Path, network: RepSam, base_sha256: str, base_groups: tuple[str, ...] = ("",)
) -> AdapterRecord:
    """Copies a saved adapter into a network that its method has prepared.

    Args:
        base_sha256: Hash of the file that ``network`` was loaded from.

    Raises:
        CheckpointError: Broken file, another base, or names and shapes do not fit; the network is
            unchanged then.
    """
    record, tensors = read_adapter(path)
    check_base(path, record, base_sha256)
    wanted = tuned_tensors(network, base_groups)
    check_fit(path, tensors, wanted)
    for name, value in wanted.items():
        value.copy_(tensors[name])
    return record


def check_base(path: Path, record: AdapterRecord, base_sha256: str) -> None:
    """Refuses an adapter that was trained on another base.

    Raises:
        CheckpointError: The hashes differ.
    """
    if record.base_sha256 != base_sha256:
        raise CheckpointError(
            f"{path} was trained on {record.base} with sha256 {record.base_sha256}, "
            f"the network was loaded from a file with sha256 {base_sha256}"
        )


def set_training_mode(network: nn.Module) -> None:
    """Training mode, but batch norms that are not trained keep their statistics."""
    network.train()
    for module in network.modules():
        if isinstance(module, _BatchNorm) and not module.weight.requires_grad:
            module.eval()
