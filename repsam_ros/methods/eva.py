"""EVA: LoRA that starts from the data's principal directions and ranks by the variance that they
explain (Paischer et al., 2024)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from peft import EvaConfig, LoraConfig, get_eva_state_dict
from torch import Tensor, nn

from repsam_ros.methods import Method, Training
from repsam_ros.methods._adapted import Adapted
from repsam_ros.methods._distributed_ranks import RankedSettings, require_data
from repsam_ros.network.adapters import (
    AdapterConfig,
    adapted_layers,
    add_adapters,
    exact_pattern,
)
from repsam_ros.network.build import RepSam

_MAX_ROWS = 4096


@dataclass(frozen=True)
class Config(RankedSettings):
    """See ``RankedSettings``; the sum of ranks over layers is that of ``rank`` in every layer.

    So the number of parameters differs somewhat from LoRA's where layers differ in width.

    Attributes:
        rho: No rank exceeds this times ``rank``; 1 keeps ranks uniform.
        tau: Cosine similarity of successive estimates at which a direction counts as found.
    """

    rho: float = 2.0
    tau: float = 0.99


class Eva(Adapted):
    """Looks at the inputs of the adapted layers before the first step."""

    config: Config

    def _add(self, network: RepSam, training: Training) -> list[nn.Parameter]:
        directions: dict[str, Tensor] = {}
        if not self.config.ranks:
            require_data(self.name, training)
            directions = self._directions(network, training)
            names = adapted_layers(self._uniform(network), len(network.image_encoder.blocks))
            ranks = tuple(len(directions[name]) for name in names)
            self.config = replace(self.config, ranks=ranks)
        config = self.config
        add_adapters(
            network,
            AdapterConfig(config.ranks, config.modules, "lora", config.alpha_per_rank),
        )
        with torch.no_grad():
            for name, rows in directions.items():
                if len(rows):
                    layer: Any = network.get_submodule(name)
                    layer.lora_A["default"].weight.copy_(rows)
        return [p for p in network.parameters() if p.requires_grad]

    def _uniform(self, network: RepSam) -> AdapterConfig:
        blocks = len(network.image_encoder.blocks)
        return AdapterConfig((self.config.rank,) * blocks, self.config.modules)

    def _directions(self, network: RepSam, training: Training) -> dict[str, Tensor]:
        """(rank, inputs) orthonormal rows for each adapted layer."""
        layers = adapted_layers(self._uniform(network), len(network.image_encoder.blocks))
        peft = LoraConfig(
            r=self.config.rank,
            target_modules=exact_pattern(list(layers)),
            init_lora_weights="eva",
            eva_config=EvaConfig(rho=self.config.rho, tau=self.config.tau),
        )
        found: dict[str, Tensor] = get_eva_state_dict(
            network,
            [_Batch(loss) for loss in training.losses],
            peft,
            forward_fn=lambda model, batch: batch.loss(model),
            prepare_model_inputs_fn=lambda batch, config: None,
            prepare_layer_inputs_fn=_rows,
            gather_distributed_inputs=False,
            show_progress_bar=False,
        )
        return found


@dataclass(frozen=True)
class _Batch:
    """A batch as PEFT wants it: something that can be moved to a device."""

    loss: Any

    def to(self, device: torch.device) -> _Batch:
        return self


def _rows(layer_input: Any, model_input: None, layer_name: str) -> Tensor:
    """(rows, C) of a layer's (B, H, W, C) input, evenly thinned out to bound time and memory."""
    tokens: Tensor = layer_input[0] if isinstance(layer_input, tuple) else layer_input
    rows = tokens.reshape(-1, tokens.shape[-1]).float()
    return rows[:: -(-len(rows) // _MAX_ROWS)]


def build(config: Config) -> Method:
    return Eva("eva", config)
