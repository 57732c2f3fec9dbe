"""What methods with low-rank adapters share."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from repsam_ros.methods import Method, Training
from repsam_ros.network.adapters import AdapterConfig, add_adapters
from repsam_ros.network.build import RepSam


@dataclass(frozen=True)
class AdapterSettings:
    """Adapters of one rank in every block.

    Attributes:
        rank: Of each adapter; where a method distributes ranks, their mean.
        modules: Adapted layers of a block, keys of ``network.adapters.MODULES``.
        alpha_per_rank: See ``network.adapters.AdapterConfig``.
        parts: Keys of ``methods.PARTS`` that are trained along.
    """

    rank: int = 4
    modules: tuple[str, ...] = ("qkv", "proj")
    alpha_per_rank: float = 1.0
    parts: tuple[str, ...] = ("fusion", "prompt_head")


class Adapted(Method):
    """Adapters of PEFT in the image encoder; the same rank everywhere unless overridden."""

    config: AdapterSettings

    def __init__(self, name: str, config: AdapterSettings, variant: str = "lora") -> None:
        super().__init__(name, config, config.parts)
        self._variant = variant

    def _ranks(self, network: RepSam, training: Training) -> tuple[int, ...]:
        return (self.config.rank,) * len(network.image_encoder.blocks)

    def _adapters(self, network: RepSam, training: Training) -> AdapterConfig:
        ranks, config = self._ranks(network, training), self.config
        return AdapterConfig(ranks, config.modules, self._variant, config.alpha_per_rank)

    def _add(self, network: RepSam, training: Training) -> list[nn.Parameter]:
        add_adapters(network, self._adapters(network, training))
        return [p for p in network.parameters() if p.requires_grad]
