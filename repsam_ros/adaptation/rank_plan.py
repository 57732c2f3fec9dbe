"""From a configuration to ranks: costs from the network, CKA from a report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from repsam_ros.adaptation.cka.report import ROWS, read_cka_report
from repsam_ros.errors import ConfigError
from repsam_ros.methods import PARTS
from repsam_ros.network.adapters import MODULES, rank_costs
from repsam_ros.network.build import NetworkConfig, RepSam, build_network
from repsam_ros.network.ranks import (
    WITHOUT_CKA,
    RankAllocation,
    RankSettings,
    allocate_ranks,
)
from repsam_ros.paths import file_sha256
from repsam_ros.presentation.charts import draw_chart

VARIANTS = ("lora", "dora")


@dataclass(frozen=True)
class RanksConfig:
    """What ``repsam ranks`` is told.

    Attributes:
        ranks: Budget, policy and caps; the budget covers ``parts`` and DoRA's vectors too.
        network: Whose encoder is adapted.
        modules: Adapted layers of a block, keys of ``network.adapters.MODULES``.
        variant: ``lora`` or ``dora``.
        parts: Keys of ``methods.PARTS`` that are trained as a whole.
        cka_report: Path of a ``cka.json``, for the policies that follow CKA.
        rows: Row definition of that report whose values count.
        gradient_norms: One per block, for the policy ``gradient``.
    """

    ranks: RankSettings
    network: NetworkConfig = field(default_factory=NetworkConfig)
    modules: tuple[str, ...] = ("qkv", "proj")
    variant: str = "lora"
    parts: tuple[str, ...] = ()
    cka_report: str | None = None
    rows: str = "image_mean"
    gradient_norms: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for kind, names, known in (
            ("module", self.modules, tuple(MODULES)),
            ("variant", (self.variant,), VARIANTS),
            ("part", self.parts, tuple(PARTS)),
            ("row definition", (self.rows,), ROWS),
        ):
            if unknown := [name for name in names if name not in known]:
                raise ConfigError(f"unknown {kind} {unknown[0]!r}; there are {', '.join(known)}")
            if len(set(names)) != len(names):
                raise ConfigError(f"{kind} named twice in {', '.join(names)}")
        if not self.modules:
            raise ConfigError("modules must name at least one layer")
        if self.variant == "dora" and self.ranks.r_min < 1:
            raise ConfigError("dora needs r_min >= 1: its vectors are paid for in every block")


def plan_ranks(config: RanksConfig) -> RankAllocation:
    """The allocation that a configuration asks for; needs no weights.

    Raises:
        ConfigError: As :func:`repsam_ros.network.ranks.allocate_ranks`, or the report is
            unusable.
    """
    with torch.device("meta"):
        network = build_network(config.network)
    costs = rank_costs(network, config.modules)
    cka, digest = None, None
    if config.ranks.policy not in WITHOUT_CKA:
        if config.cka_report is None:
            raise ConfigError(
                f"policy {config.ranks.policy} needs a CKA report: --set cka_report=FILE "
                "(written by `repsam cka`), or --set ranks.policy=uniform"
            )
        path = Path(config.cka_report)
        report = read_cka_report(path)
        cka, digest = report.values(config.rows), file_sha256(path)
        if len(cka) != len(costs):
            raise ConfigError(
                f"{path}: CKA of {len(cka)} blocks of {report.model}; "
                f"{config.network.backbone} has {len(costs)}"
            )
    norms = np.array(config.gradient_norms, np.float64) if config.gradient_norms else None
    allocation = allocate_ranks(
        cka,
        costs,
        config.ranks,
        gradient_norms=norms,
        reserved=reserved_parameters(network, config),
    )
    return replace(allocation, cka_report_sha256=digest)


def reserved_parameters(network: RepSam, config: RanksConfig) -> int:
    """Parameters that are trained whatever the ranks: whole parts and DoRA's vectors."""
    parts = [network.get_submodule(name) for part in config.parts for name in PARTS[part]]
    reserved = sum(p.numel() for module in parts for p in module.parameters())
    if config.variant == "dora":
        # One length an output of each adapted layer.
        layers = [
            block.get_submodule(MODULES[name])
            for block in network.image_encoder.blocks
            for name in config.modules
        ]
        reserved += sum(layer.out_features for layer in layers)
    return reserved


def text_table(allocation: RankAllocation) -> str:
    """Rank and cost of each block, and what they add up to."""
    lines = ["block  weight  rank  parameters"]
    for block, rank in enumerate(allocation.ranks):
        weight, cost = allocation.weights[block], allocation.costs[block]
        lines.append(f"{block:5d}  {weight:6.3f}  {rank:4d}  {rank * cost:10,}")
    adapters = allocation.used - allocation.reserved
    lines.append(f"{'adapters':<13}  {sum(allocation.ranks):4d}  {adapters:10,}")
    lines.append(f"{'whatever the ranks':<19}  {allocation.reserved:10,}")
    lines.append(f"{'used':<19}  {allocation.used:10,}")
    lines.append(f"{'budget':<19}  {allocation.budget:10,}")
    return "\n".join(lines)


def draw_allocation(allocation: RankAllocation) -> NDArray[np.uint8]:
    """Bars of ranks above bars of what they cost; (H, W, 3) RGB."""
    ranks, costs = np.array(allocation.ranks), np.array(allocation.costs)
    title = f"{allocation.policy}: {allocation.used:,} of {allocation.budget:,} parameters"
    charts = (
        draw_chart(title, "rank", {"rank": ranks.tolist()}, bars=True),
        draw_chart("", "thousand parameters", {"cost": (ranks * costs / 1e3).tolist()}, bars=True),
    )
    return np.concatenate(charts)
