"""AdaLoRA: starts with more rank and takes it from where it matters least (Zhang et al., 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from peft import AdaLoraConfig, AdaLoraModel
from torch import Tensor, nn

from repsam_ros.errors import ConfigError
from repsam_ros.methods import Method, Training
from repsam_ros.methods._adapted import Adapted, AdapterSettings
from repsam_ros.network.adapters import AdapterConfig, adapted_layers, exact_pattern, inject
from repsam_ros.network.build import RepSam

_MOMENTS = ("exp_avg_ipt", "exp_avg_unc")


@dataclass(frozen=True)
class Config(AdapterSettings):
    """Ranks and schedule; ``rank`` is the mean that is left in the end.

    Attributes:
        start_rank: Rank of every adapter at first, and what the layers are sized for.
        warmup: Share of the steps before ranks begin to fall.
        settled: Share of the steps, at the end, in which ranks stay.
        every: Steps between two allocations.
        orthogonality: Weight of the loss that keeps singular vectors orthonormal.
        steps: Of the whole run; 0 takes those of the training.
    """

    start_rank: int = 6
    warmup: float = 0.1
    settled: float = 0.3
    every: int = 10
    orthogonality: float = 0.5
    steps: int = 0


class AdaLora(Adapted):
    """Masks singular values by their importance; the layers keep their size."""

    config: Config

    def _add(self, network: RepSam, training: Training) -> list[nn.Parameter]:
        steps = self.config.steps or training.steps
        self.config = replace(self.config, steps=steps)
        config = self.config
        blocks = len(network.image_encoder.blocks)
        chosen = AdapterConfig((config.start_rank,) * blocks, config.modules)
        # PEFT counts steps from 1; it needs one step at least in which ranks fall.
        first, last = round(config.warmup * steps), round(config.settled * steps)
        peft = AdaLoraConfig(
            init_r=config.start_rank,
            target_r=config.rank,
            # Any real number works; PEFT's annotation says int.
            lora_alpha=config.alpha_per_rank * config.start_rank,  # type: ignore[arg-type]
            target_modules=exact_pattern(list(adapted_layers(chosen, blocks))),
            total_step=max(steps, first + last + 1),
            tinit=first,
            tfinal=last,
            deltaT=config.every,
            orth_reg_weight=config.orthogonality,
        )
        self._tuner = inject(network, AdaLoraModel, peft)
        return [p for p in network.parameters() if p.requires_grad]

    def extra_loss(self, network: RepSam) -> Tensor:
        """Mean distance of the singular vectors' Gram matrices from the identity."""
        distances = []
        for name, value in network.named_parameters():
            if ".lora_A." in name or ".lora_B." in name:
                gram = value @ value.T if ".lora_A." in name else value.T @ value
                identity = torch.eye(len(gram), device=gram.device, dtype=gram.dtype)
                distances.append(torch.linalg.norm(gram - identity))
        return self.config.orthogonality * torch.stack(distances).mean()

    def after_step(self, network: RepSam, step: int) -> None:
        self._tuner.update_and_allocate(step + 1)

    def state(self) -> dict[str, Tensor]:
        allocator = self._tuner.rankallocator
        tensors = {
            f"{kind}/{name}": value
            for kind in _MOMENTS
            for name, value in getattr(allocator, kind).items()
        }
        kept: Mapping[str, Any] = self._peft.rank_pattern or {}
        return tensors | {f"kept/{name}": torch.tensor(mask) for name, mask in kept.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        found: dict[str, dict[str, Tensor]] = {kind: {} for kind in ("kept", *_MOMENTS)}
        for key, value in state.items():
            kind, _, name = key.partition("/")
            found[kind][name] = value
        allocator = self._tuner.rankallocator
        for kind in _MOMENTS:
            setattr(allocator, kind, found[kind])
        # PEFT makes the third dictionary together with the other two.
        allocator.ipt = {n: torch.zeros_like(v) for n, v in found[_MOMENTS[0]].items()}
        masks = {name: mask.tolist() for name, mask in found["kept"].items()}
        self._peft.rank_pattern = masks or None

    @property
    def _peft(self) -> AdaLoraConfig:
        config: AdaLoraConfig = self._tuner.peft_config["default"]
        return config


def build(config: Config) -> Method:
    if not 0 < config.rank < config.start_rank:
        raise ConfigError(
            f"adalora: start_rank {config.start_rank} must be above rank {config.rank}"
        )
    if min(config.warmup, config.settled) < 0 or config.warmup + config.settled >= 1:
        raise ConfigError("adalora: warmup and settled are shares that leave steps between them")
    return AdaLora("adalora", config)
