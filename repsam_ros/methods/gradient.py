"""LoRA with ranks in proportion to gradient norms, in the spirit of La-LoRA."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from repsam_ros.methods import Method, Training
from repsam_ros.methods._adapted import Adapted
from repsam_ros.methods._distributed_ranks import RankedSettings, require_data
from repsam_ros.network.adapters import MODULES, rank_costs
from repsam_ros.network.build import RepSam
from repsam_ros.network.ranks import RankSettings, allocate_ranks


@dataclass(frozen=True)
class Config(RankedSettings):
    """See ``RankedSettings``; the budget is that of ``rank`` in every block."""


class Gradient(Adapted):
    """Measures once, before the first step, on the base."""

    config: Config

    def _ranks(self, network: RepSam, training: Training) -> tuple[int, ...]:
        if not self.config.ranks:
            require_data(self.name, training)
            costs = rank_costs(network, self.config.modules)
            norms = gradient_norms(network, self.config.modules, training)
            budget, most = self.config.rank * sum(costs), self.config.rank * len(costs)
            settings = RankSettings(budget, "gradient", r_min=0, r_max=most)
            ranks = allocate_ranks(None, costs, settings, gradient_norms=norms).ranks
            self.config = replace(self.config, ranks=ranks)
        return self.config.ranks


def gradient_norms(
    network: RepSam, modules: tuple[str, ...], training: Training
) -> NDArray[np.float64]:
    """Root of the mean squared gradient norm over batches, of each block's adapted weights."""
    weights = [
        [block.get_submodule(MODULES[module]).weight for module in modules]
        for block in network.image_encoder.blocks
    ]
    every = [weight for block in weights for weight in block]
    squares = np.zeros(len(weights))
    mode = network.training
    network.eval()  # statistics of norms stay as they are
    for weight in every:
        weight.requires_grad_(True)
    for loss in training.losses:
        found = iter(torch.autograd.grad(loss(network), every))
        for index, block in enumerate(weights):
            squares[index] += sum(float(next(found).double().square().sum()) for _ in block)
    for weight in every:
        weight.requires_grad_(False)
    network.train(mode)
    return np.sqrt(squares / len(training.losses))


def build(config: Config) -> Method:
    return Gradient("gradient", config)
