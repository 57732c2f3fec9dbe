"""What a method trains of a network: every trainable parameter is counted once, by group.

Networks are built on the meta device: shapes without numbers, so that no weights are needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from repsam_ros.adaptation.rank_plan import RanksConfig, plan_ranks
from repsam_ros.config import load_config
from repsam_ros.methods import Training, method_options, open_method
from repsam_ros.network.adapters import MODULES, rank_costs
from repsam_ros.network.build import NetworkConfig, build_network
from repsam_ros.network.sam import SAM_GROUPS
from repsam_ros.paths import share_dir


@dataclass(frozen=True)
class Ledger:
    """Parameters of a network and of a method.

    Attributes:
        model, method: Names.
        encoder_params: SAM's image encoder.
        encoder_params_without_positions: Without its table of positions, which is what the
            632 M of ViT-H are.
        total_params: SAM: encoder, prompt encoder and mask decoder.
        added_params: What this project adds to SAM, by module; adapters are not among them.
        rank_cost: Of one LoRA rank in the widest block, by adapted layers.
        groups: Trainable parameters by the method's groups.
        trainable_total: Their sum.
        reduction: ``encoder_params_without_positions / trainable_total``; None if nothing trains.
    """

    model: str
    method: str
    encoder_params: int
    encoder_params_without_positions: int
    total_params: int
    added_params: dict[str, int]
    rank_cost: dict[str, int]
    groups: dict[str, int]
    trainable_total: int
    reduction: float | None


def count_parameters(model: str, method: str, options: Mapping[str, Any]) -> Ledger:
    """The ledger of a method on a backbone.

    A method that takes ranks and is told none gets those of ``config/ranks/MODEL.yaml``.

    Args:
        model: Backbone, such as ``vit_h``.
        method: One of ``methods.method_names()``.
        options: Of the method.

    Raises:
        ConfigError: Unknown names or options, or the method needs data to choose its ranks.
    """
    with torch.device("meta"):
        network = build_network(NetworkConfig(backbone=model))
        counts = {name: _count(module) for name, module in network.named_children()}
        sam = [name.removesuffix(".") for name in SAM_GROUPS]
        positions = network.image_encoder.pos_embed
        encoder = counts["image_encoder"]
        without_positions = encoder - (0 if positions is None else positions.numel())
        costs = {
            "+".join(modules): max(rank_costs(network, modules))
            for modules in (("qkv",), ("qkv", "proj"), tuple(MODULES))
        }
        chosen = open_method(method, {**_shipped_options(model, method, options), **options})
        groups = chosen.prepare(network, Training())
    trained = {name: sum(p.numel() for p in group) for name, group in groups.items()}
    total = sum(trained.values())
    return Ledger(
        model=model,
        method=method,
        encoder_params=encoder,
        encoder_params_without_positions=without_positions,
        total_params=sum(counts[name] for name in sam),
        added_params={name: count for name, count in counts.items() if name not in sam},
        rank_cost=costs,
        groups=trained,
        trainable_total=total,
        reduction=without_positions / total if total else None,
    )


def text_table(ledger: Ledger) -> str:
    """The ledger for people."""
    rows = [
        ("SAM", ledger.total_params),
        ("  image encoder", ledger.encoder_params),
        ("  image encoder without positions", ledger.encoder_params_without_positions),
        ("added to SAM", sum(ledger.added_params.values())),
        *((f"  {name}", count) for name, count in ledger.added_params.items()),
        (f"trained by {ledger.method}", ledger.trainable_total),
        *((f"  {name}", count) for name, count in ledger.groups.items()),
        *((f"one rank in one block: {name}", cost) for name, cost in ledger.rank_cost.items()),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {count:>13,}" for name, count in rows]
    if ledger.reduction is not None:
        lines.append(f"trained: 1/{ledger.reduction:.1f} of the encoder without positions")
    return "\n".join(lines)


def _shipped_options(model: str, method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Ranks, layers and parts of the shipped allocation, for a method that reads allocations."""
    path = share_dir() / "config" / "ranks" / f"{model}.yaml"
    told = {"ranks", "ranks_file"} & options.keys()
    if told or "ranks_file" not in method_options(method) or not path.is_file():
        return {}
    config = load_config(RanksConfig, path)
    # Where CKA is not known yet: all blocks cost the same, so every policy costs the same.
    uniform = replace(config, ranks=replace(config.ranks, policy="uniform"))
    ranks = plan_ranks(uniform).ranks
    return {"ranks": ranks, "modules": config.modules, "parts": config.parts}


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
