"""Low-rank adapters in SAM's image encoder, through Hugging Face PEFT.

LoRA: Hu et al., ICLR 2022. DoRA: Liu et al., ICML 2024. VeRA: Kopiczko et al., ICLR 2024.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from repsam_ros.errors import BackendError, ConfigError
from repsam_ros.network.build import RepSam

# PEFT takes seconds to import, which whoever runs a network without adapters should not wait for.
if TYPE_CHECKING:
    from peft import PeftConfig
    from peft.tuners.tuners_utils import BaseTuner

# Where each kind of layer lies in a block of SAM's encoder; ``qkv`` is the fused projection.
MODULES = {"qkv": "attn.qkv", "proj": "attn.proj", "lin1": "mlp.lin1", "lin2": "mlp.lin2"}
VARIANTS = ("lora", "dora", "vera")
_ADAPTER = "default"


@dataclass(frozen=True)
class AdapterConfig:
    """Which layers of the encoder get an adapter of which rank.

    Attributes:
        ranks: One a block, or one a block and module with the modules of a block together;
            0 leaves the layer as it is.
        modules: Keys of ``MODULES``.
        variant: One of ``VARIANTS``. VeRA shares its random matrices among the layers and so has
            a single rank beside 0, and no ``alpha_per_rank``.
        alpha_per_rank: PEFT's alpha is this times the rank of the layer. So the scale of an
            update, alpha / rank, is the same everywhere, and where ranks go is not confounded
            with how large steps are.

    Raises:
        ConfigError: A value out of range.
    """

    ranks: tuple[int, ...]
    modules: tuple[str, ...] = ("qkv", "proj")
    variant: str = "lora"
    alpha_per_rank: float = 1.0

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise ConfigError(f"unknown adapter {self.variant!r}; there are {', '.join(VARIANTS)}")
        if unknown := [name for name in self.modules if name not in MODULES]:
            raise ConfigError(f"unknown module {unknown[0]!r}; there are {', '.join(MODULES)}")
        if not self.modules or len(set(self.modules)) != len(self.modules):
            raise ConfigError(f"modules must name each layer once, got {list(self.modules)}")
        if not any(self.ranks) or min(self.ranks) < 0:
            raise ConfigError(f"ranks must be 0 or more and not all 0, got {list(self.ranks)}")
        if self.alpha_per_rank <= 0:
            raise ConfigError(f"alpha_per_rank must be above 0, got {self.alpha_per_rank}")
        if self.variant == "vera" and len(set(self.ranks) - {0}) > 1:
            raise ConfigError(f"vera has one rank for all layers, got {list(self.ranks)}")


def adapted_layers(config: AdapterConfig, blocks: int) -> dict[str, int]:
    """Full name and rank of each layer that gets an adapter, in the order of the encoder.

    Raises:
        ConfigError: The number of ranks does not fit the number of blocks.
    """
    per_block = len(config.modules)
    if len(config.ranks) not in (blocks, blocks * per_block):
        raise ConfigError(
            f"{len(config.ranks)} ranks do not fit {blocks} blocks with {per_block} modules each"
        )
    ranks = config.ranks
    if len(ranks) == blocks:
        ranks = tuple(rank for rank in ranks for _ in config.modules)
    names = [
        f"image_encoder.blocks.{block}.{MODULES[module]}"
        for block in range(blocks)
        for module in config.modules
    ]
    return {name: rank for name, rank in zip(names, ranks, strict=True) if rank}


def rank_costs(network: RepSam, modules: tuple[str, ...]) -> tuple[int, ...]:
    """Trainable parameters of one rank of LoRA in each block: inputs + outputs of its layers."""
    every = [[block.get_submodule(MODULES[m]) for m in modules] for block in _blocks(network)]
    return tuple(sum(layer.in_features + layer.out_features for layer in row) for row in every)


def _blocks(network: RepSam) -> Any:
    return network.image_encoder.blocks


def exact_pattern(names: list[str]) -> str:
    """A regular expression that matches these module names and no other.

    PEFT matches lists by ending and reads keys of patterns as regular expressions: ``qkv`` would
    match every layer that ends so, ``blocks.1`` also ``blocks.10``.
    """
    return "|".join(re.escape(name) for name in names)


def _peft_config(config: AdapterConfig, layers: dict[str, int]) -> PeftConfig:
    from peft import LoraConfig, VeraConfig

    targets, rank = exact_pattern(list(layers)), max(layers.values())
    if config.variant == "vera":
        return VeraConfig(r=rank, target_modules=targets, save_projection=True)
    return LoraConfig(
        r=rank,
        # Any real number works; PEFT's annotation says int.
        lora_alpha=config.alpha_per_rank * rank,  # type: ignore[arg-type]
        target_modules=targets,
        rank_pattern={re.escape(name): r for name, r in layers.items()},
        alpha_pattern={re.escape(name): config.alpha_per_rank * r for name, r in layers.items()},
        use_dora=config.variant == "dora",
    )


def add_adapters(network: RepSam, config: AdapterConfig) -> dict[str, int]:
    """Puts adapters into ``network`` and freezes everything else; the output does not change.

    The initial values come from PyTorch's global generator.

    Returns:
        Name and rank of each adapted layer.

    Raises:
        ConfigError: The ranks do not fit the network, or it has adapters already.
    """
    layers = adapted_layers(config, len(network.image_encoder.blocks))
    try:
        from peft import LoraModel, VeraModel
    except ImportError as error:
        raise missing_peft() from error
    model = VeraModel if config.variant == "vera" else LoraModel
    inject(network, model, _peft_config(config, layers))
    return layers


def missing_peft() -> BackendError:
    """What to say where PEFT is not installed."""
    return BackendError("low-rank adapters need PEFT: pip install 'repsam_ros[adaptation]'")


def inject(network: RepSam, model: type[BaseTuner], config: PeftConfig) -> Any:
    """Lets a tuner of PEFT put its layers into ``network``; returns the tuner.

    Raises:
        ConfigError: The network has adapters already.
    """
    if has_adapters(network):
        raise ConfigError("the network has adapters already")
    return model(network, config, _ADAPTER)


def has_adapters(network: torch.nn.Module) -> bool:
    """Whether any layer carries an adapter."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return any(isinstance(module, BaseTunerLayer) for module in network.modules())


@torch.no_grad()
def merge_adapters(network: RepSam) -> RepSam:
    """A plain network in evaluation mode whose weights contain the adapters.

    ``network`` stays as it is: what is merged is a copy in float32, since weights that are merged
    and unmerged in half precision drift.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    merged = copy.deepcopy(network).float()
    layers = [(n, m) for n, m in merged.named_modules() if isinstance(m, BaseTunerLayer)]
    for name, layer in layers:
        layer.merge(safe_merge=True)
        parent, _, child = name.rpartition(".")
        setattr(merged.get_submodule(parent), child, layer.get_base_layer())
    return merged.requires_grad_(False).eval()
