"""Weights on disk: found by name, verified by hash, loaded without unpickling code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from repsam_ros import __version__
from repsam_ros.config import build_config, to_plain
from repsam_ros.errors import CheckpointError, ConfigError
from repsam_ros.model_files import listed_files, verified_file
from repsam_ros.network.build import NetworkConfig, RepSam, build_network
from repsam_ros.paths import atomic_path, file_sha256
from repsam_ros.tensor_files import opened_tensors, tensor_sizes


@dataclass(frozen=True)
class ModelFile:
    """A weight file that was found and verified.

    Attributes:
        name: Name in the manifest, or the file's own name.
        path: Where it lies.
        sha256: Of its bytes.
        groups: Beginnings of the names of the tensors that it brings, once it is loaded.
    """

    name: str
    path: Path
    sha256: str
    groups: tuple[str, ...] = ("",)


def find_model(name_or_path: str) -> ModelFile:
    """Finds a model by its name in ``models/manifest.yaml`` or by path, and checks its hash.

    Raises:
        CheckpointError: The file is missing (the message says where to fetch it) or its hash is
            not the manifest's.
        ConfigError: No such name and no such file.
    """
    models = listed_files()
    if name_or_path not in models:
        path = Path(name_or_path)
        if path.is_dir():
            raise ConfigError(
                f"{path} is a folder: if it holds exported graphs, a backend that runs graphs"
                " must be chosen, such as onnxruntime"
            )
        if not path.is_file():
            known = ", ".join(models)
            raise ConfigError(f"{name_or_path}: no such file, and no model of that name ({known})")
        return ModelFile(path.name, path, file_sha256(path))
    return ModelFile(name_or_path, *verified_file(models[name_or_path]))


def save_weights(
    path: Path, state: Mapping[str, Tensor], network: NetworkConfig, note: dict[str, Any]
) -> None:
    """Writes half-precision safetensors that carry their network configuration and ``note``."""
    tensors = {
        name: value.detach().to("cpu", torch.float16).contiguous()
        if value.is_floating_point()
        else value.detach().cpu().contiguous()
        for name, value in state.items()
    }
    metadata = {
        "format": "pt",
        "network": json.dumps(to_plain(network)),
        "note": json.dumps(note),
        "repsam_ros": __version__,
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata)


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file; its tensors are not read.

    Raises:
        CheckpointError: The file is missing or broken.
    """
    with opened_tensors(path) as stream:
        return stream.metadata() or {}


def stored_values(path: Path) -> int | None:
    """How many numbers a safetensors file holds; None for another kind of file.

    Raises:
        CheckpointError: The file is missing or broken.
    """
    if path.suffix != ".safetensors":
        return None
    return sum(tensor_sizes(path).values())


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        CheckpointError: The file is missing or broken.
    """
    with opened_tensors(path) as stream:
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        return tensors, stream.metadata() or {}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever its readers raise
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: not a readable checkpoint: {first}") from error
    if isinstance(state, dict) and state.keys() == {"model"}:  # SAM 2 and EfficientSAM
        state = state["model"]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(f"{path}: expected a flat dictionary of tensors")
    return state, {}


def check_fit(path: Path, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Compares names and shapes of what a file holds with those of what a network needs.

    Raises:
        CheckpointError: They differ.
    """
    missing, unexpected = wanted.keys() - state.keys(), state.keys() - wanted.keys()
    if missing or unexpected:
        names = ", ".join(sorted(missing or unexpected)[:3])
        problem = "lacks" if missing else "has unexpected"
        raise CheckpointError(f"{path} {problem} {len(missing or unexpected)} tensors: {names} ...")
    for name, value in wanted.items():
        if value.shape != state[name].shape:
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(state[name].shape)}, "
                f"the network needs {tuple(value.shape)}"
            )


def _assign(
    network: nn.Module, state: Mapping[str, Tensor], path: Path, groups: tuple[str, ...]
) -> None:
    """Copies every tensor, after checking that names and shapes are the expected ones."""
    wanted = {k: v for k, v in network.state_dict().items() if k.startswith(groups)}
    check_fit(path, state, wanted)
    network.load_state_dict(dict(state), strict=False)


def load_weights(network: RepSam, name_or_path: str) -> ModelFile:
    """Loads weights into a network; official checkpoints fill the backbone's ``official_groups``.

    Raises:
        CheckpointError: Missing, corrupt, wrong hash, or names and shapes do not fit.
    """
    model = find_model(name_or_path)
    state, metadata = _read(model.path)
    groups: tuple[str, ...] = ("",)
    if "network" not in metadata:
        groups = network.spec.official_groups
        try:
            state = network.spec.from_official(state)
        except KeyError as error:
            raise CheckpointError(
                f"{model.path} lacks {error}: not the official checkpoint of this backbone"
            ) from error
    _assign(network, state, model.path, groups)
    return replace(model, groups=groups)


def load_network(name_or_path: str, found: ModelFile | None = None) -> tuple[RepSam, ModelFile]:
    """Builds the network that a weight file belongs to and loads it, in evaluation mode.

    Args:
        found: What :func:`find_model` says of it, where that is known: hashing takes time.

    Raises:
        CheckpointError: As :func:`load_weights`, or the file holds SAM's own weights only, which
            find no prompts by themselves.
    """
    model = find_model(name_or_path) if found is None else found
    state, metadata = _read(model.path)
    if "network" not in metadata:
        raise CheckpointError(
            f"{model.path} holds no prompt head and no depth fusion, only SAM; "
            f"train them from it: repsam train CONFIG --set start_from={name_or_path}"
            " --set network.backbone=NAME --out DIR"
        )
    try:
        content = json.loads(metadata["network"])
    except ValueError as error:
        raise CheckpointError(f"{model.path}: its network configuration is not JSON") from error
    network = build_network(build_config(NetworkConfig, content, str(model.path)))
    _assign(network, state, model.path, ("",))
    return network, model
