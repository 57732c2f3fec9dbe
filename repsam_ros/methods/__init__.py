"""Adaptation methods as peers: one file each, and its file name is its name.

A new method is a new file here with a ``Config`` dataclass and a ``build(config) -> Method``;
:class:`Method` has what most need. Files that begin with an underscore are no methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from repsam_ros.config import build_config, to_plain
from repsam_ros.errors import ConfigError
from repsam_ros.network.adapter_files import (
    AdapterRecord,
    check_base,
    holds_adapter,
    load_adapter,
    read_record,
)
from repsam_ros.network.adapters import merge_adapters, missing_peft
from repsam_ros.network.build import NetworkConfig, RepSam, build_network
from repsam_ros.network.weights import ModelFile, find_model, load_network, load_weights
from repsam_ros.plugins import load_plugin, plugin_names

# Parts of the network that a method can train, beside the groups that it adds itself.
PARTS: dict[str, tuple[str, ...]] = {
    "image_encoder": ("image_encoder",),
    "fusion": ("fusion",),
    "prompt_head": ("prompt_head",),
    # SAM's embeddings of boxes, masks and negative points have no use here, hence no gradients.
    "prompt_encoder": tuple(
        f"prompt_encoder.{name}"
        for name in ("point_embeddings.1", "not_a_point_embed", "no_mask_embed")
    ),
    "geometric_prompt": ("geometric_prompt",),
    "mask_decoder": ("mask_decoder",),
    "mask_detail": ("mask_detail",),
    "color_detail": ("color_stem", "mix2", "mix4", "mix8"),
}
Groups = dict[str, list[nn.Parameter]]


@dataclass(frozen=True)
class Training:
    """What a method may know of the training ahead.

    Attributes:
        steps: Optimiser steps of the whole run.
        losses: Each computes the training loss of one batch with the given network, always of the
            same batch, in every process. Only methods that look at data before the first step
            need any.
    """

    steps: int = 1
    losses: Sequence[Callable[[RepSam], Tensor]] = ()


class Method:
    """A way to adapt a network.

    What :meth:`prepare` returns is all that training changes, except for the running statistics
    of batch norms: those move with their norm's parameters and stay where these are frozen
    (``network.adapter_files.set_training_mode``).

    Attributes:
        name: File name of the method.
        config: Resolved by :meth:`prepare`: with it the method puts the same layers into another
            network without looking at data or other files.
        mergeable: Whether what the method adds can become weights of the plain network.
    """

    mergeable = True

    def __init__(self, name: str, config: Any, parts: Iterable[str]) -> None:
        self.name, self.config, self._parts = name, config, tuple(parts)
        if unknown := [part for part in self._parts if part not in PARTS]:
            raise ConfigError(f"{name}: unknown part {unknown[0]!r}; there are {', '.join(PARTS)}")

    def prepare(self, network: RepSam, training: Training) -> Groups:
        """Puts the method's layers into ``network``, which computes the same as before.

        Returns:
            The trainable parameters by group; no other parameter requires a gradient.
        """
        network.requires_grad_(False)
        groups: Groups = {}
        if added := self._add(network, training):
            groups["adapters"] = added
        for part in self._parts:
            modules = [network.get_submodule(name) for name in PARTS[part]]
            groups[part] = [p for module in modules for p in module.parameters()]
            for parameter in groups[part]:
                parameter.requires_grad_(True)
        return groups

    def _add(self, network: RepSam, training: Training) -> list[nn.Parameter]:
        """Adds the method's own layers; returns their trainable parameters."""
        return []

    def optimizer(
        self, network: RepSam, learning_rate: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """AdamW over the trainable parameters; vectors do not decay."""
        groups = decay_groups(network, weight_decay)
        fused = groups[0]["params"][0].is_cuda
        return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98), fused=fused)

    def extra_loss(self, network: RepSam) -> Tensor | None:
        """A term that the method adds to the training loss."""
        return None

    def after_step(self, network: RepSam, step: int) -> None:
        """Called after optimiser step ``step`` (0, 1, ...), while the gradients are there."""

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs beside the network and the optimiser."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Takes back what :meth:`state` gave."""

    def merge(self, network: RepSam) -> RepSam:
        """A plain network, layers as ``build_network`` makes them, that computes the same.

        Raises:
            ConfigError: The method is not mergeable.
        """
        if not self.mergeable:
            raise ConfigError(f"{self.name} cannot be merged: what it adds depends on the image")
        return merge_adapters(network)


def decay_groups(network: RepSam, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters as an optimiser takes them: vectors do not decay."""
    trained = [p for p in network.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim > 1]
    vectors = [p for p in trained if p.ndim <= 1]
    return [
        {"params": parameters, "weight_decay": decay}
        for parameters, decay in ((matrices, weight_decay), (vectors, 0.0))
        if parameters
    ]


def method_names() -> tuple[str, ...]:
    """What :func:`open_method` knows."""
    return plugin_names(__name__)


def method_options(name: str) -> tuple[str, ...]:
    """What method ``name`` can be told."""
    return tuple(field.name for field in fields(_module(name).Config))


def open_method(name: str, options: Mapping[str, Any] | None = None) -> Method:
    """The method ``name``, told some of :func:`method_options`.

    Raises:
        ConfigError: No such method or option, or a value out of range.
    """
    module = _module(name)
    config = build_config(module.Config, dict(options or {}), f"method {name}")
    method: Method = module.build(config)
    return method


def resolved_config(method: Method) -> dict[str, Any]:
    """Plain values of the configuration that :func:`open_method` rebuilds a method from."""
    return to_plain(method.config)


def load_method(
    path: Path, network: RepSam, base_sha256: str, base_groups: tuple[str, ...] = ("",)
) -> tuple[Method, AdapterRecord]:
    """Prepares ``network``, which holds its base's weights, as a saved adapter says, and loads it.

    Raises:
        CheckpointError: Broken file, another base, or names and shapes do not fit.
        ConfigError: This version does not know the method or its configuration.
    """
    record = read_record(path)
    check_base(path, record, base_sha256)
    method = open_method(record.method, record.config)
    method.prepare(network, Training())
    return method, load_adapter(path, network, base_sha256, base_groups)


def load_model(name_or_path: str) -> tuple[RepSam, ModelFile]:
    """A network in evaluation mode from any file of weights; an adapter is put onto its base.

    What can be merged is merged, so that an adapted network is as fast as its base. A base that is
    not where it was in training is looked for beside the adapter, so that both can be moved.

    Raises:
        CheckpointError: As ``network.weights.load_network``, or an adapter's base is missing or
            another one than it was trained on.
        ConfigError: This version does not know the method or its configuration.
    """
    model = find_model(name_or_path)
    if not holds_adapter(model.path):
        return load_network(name_or_path, model)
    record = read_record(model.path)
    network = build_network(build_config(NetworkConfig, dict(record.network), str(model.path)))
    base = load_weights(network, _base_of(model.path, record))
    method, _ = load_method(model.path, network, base.sha256, base.groups)
    return (method.merge(network) if method.mergeable else network.eval()), model


def _base_of(adapter: Path, record: AdapterRecord) -> str:
    beside = adapter.parent / Path(record.base).name
    return str(beside) if beside.is_file() and not Path(record.base).is_file() else record.base


def _module(name: str) -> ModuleType:
    try:
        return load_plugin(__name__, "method", name)
    except ModuleNotFoundError as error:
        if error.name != "peft":
            raise
        raise missing_peft() from error
