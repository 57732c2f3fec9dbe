"""GaLore: every parameter is trained, with gradients in a low-rank subspace (Zhao et al., 2024).

It saves memory of the optimiser, not trainable parameters: compare it by memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from repsam_ros.errors import ConfigError
from repsam_ros.methods import PARTS, Method, decay_groups
from repsam_ros.methods._galore_adamw import GaLoreAdamW
from repsam_ros.network.build import RepSam


@dataclass(frozen=True)
class Config:
    """Subspace of the gradients.

    Attributes:
        rank: Of the gradients of a matrix; matrices with a side that is no longer are left out.
        update_every: Steps between two choices of the subspace.
        scale: Of updates from the subspace.
    """

    rank: int = 16
    update_every: int = 200
    scale: float = 0.25


class GaLore(Method):
    """Full fine-tuning with another optimiser."""

    config: Config

    def optimizer(
        self, network: RepSam, learning_rate: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        config = self.config
        return GaLoreAdamW(
            decay_groups(network, weight_decay),
            learning_rate,
            config.rank,
            config.update_every,
            config.scale,
        )


def build(config: Config) -> Method:
    if config.rank < 1 or config.update_every < 1:
        raise ConfigError("galore: rank and update_every must be at least 1")
    return GaLore("galore", config, PARTS)
