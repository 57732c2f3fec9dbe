"""Ranks of adapters, one per block of the encoder, under a budget in trainable parameters.

Block i gets the weight ``w_i = max(1 - CKA_i, 1e-3) ** gamma`` and a rank proportional to
``w_i / c_i``, where ``c_i`` is what one rank costs there: its share of the budget is its share of
the weights. ``gamma = 1`` is the rule as printed, 0 is uniform, -1 its inverse.

Where this comes from, and what it takes for granted:

1. *1 - CKA is the relative energy of a shift.* Let X be a block's centred features in the source
   domain, (n, d), and Y = X + E those of the same scenes in the target domain. CKA is the cosine
   between X X' and Y Y'. Their difference is X E' + E X' to first order; if E is uncorrelated
   with X, nothing of it lies along X X', and 1 - cos is half its squared length over that of
   X X': ``1 - CKA ~ tr(X'X E'E) / |X'X|^2``, which is ``|E|^2 / |X|^2`` for white X. So: pairs,
   a small shift, uncorrelated with the features, no direction far stronger than the others.
2. *An adapter of rank r removes the r strongest directions of the update that a block needs.*
   Let its squared singular values fall as a power law, ``s_k ~ k ** -alpha``, with the shift's
   energy ``e_i = 1 - CKA_i`` as scale, and let the loss grow with curvature ``h_i`` times what is
   left. The k-th rank of block i then gains ``h_i e_i k ** -alpha`` for ``c_i`` parameters.
3. *Reverse water-filling.* The best allocation buys ranks in the order of gain per parameter and
   stops at one level for all blocks: ``h_i e_i r_i ** -alpha / c_i = level``, hence
   ``r_i ~ (h_i e_i / c_i) ** (1 / alpha)``.

"Proportional" is thus optimal for alpha = 1 and equal curvature only. ``gamma = 1 / alpha`` covers
other spectra where all blocks cost the same, as they do in SAM. Step 2 also charges each block
with the whole shift of its output, though the residual stream carries on the shift of the blocks
before. Whether these assumptions hold for a robot is an empirical question.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.config import build_config
from repsam_ros.errors import ConfigError
from repsam_ros.paths import write_text

# "random", "reversed", "early" and "late" rearrange the values of "cka", so that where all blocks
# cost the same every one of them spends exactly as much.
WITHOUT_CKA = ("uniform", "gradient")
POLICIES = ("cka", "random", "reversed", "early", "late", "printed_formula", *WITHOUT_CKA)
_LOWEST_WEIGHT = 1e-3
# Ideal ranks closer than this are ties: they differ by the order of a sum only.
_TIE_DIGITS = 9


@dataclass(frozen=True)
class RankSettings:
    """How a budget is divided.

    Attributes:
        budget: Trainable parameters.
        policy: ``cka``; ``uniform``; ``gradient`` (weights from gradient norms in place of
            1 - CKA); the CKA values dealt out anew: ``random``, ``reversed`` (the block that
            needs most gets what the one that needs least would), ``early`` and ``late`` (largest
            weights in the first or last blocks); or ``printed_formula``, which knows no budget.
        gamma: Exponent of the weights.
        r_min: Each block's rank at least; 0 = a block may go without an adapter.
        r_max: Each block's rank at most.
        seed: Of ``random``.
    """

    budget: int
    policy: str = "cka"
    gamma: float = 1.0
    r_min: int = 1
    r_max: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ConfigError(f"unknown policy {self.policy!r}; there are {', '.join(POLICIES)}")
        if not 0 <= self.r_min <= self.r_max or self.r_max < 1:
            raise ConfigError(f"0 <= r_min <= r_max expected, got {self.r_min} and {self.r_max}")
        if not -10 <= self.gamma <= 10:
            raise ConfigError(f"gamma must lie in -10..10, got {self.gamma}")


@dataclass(frozen=True)
class RankAllocation:
    """Ranks of L blocks.

    Attributes:
        policy: As in :class:`RankSettings`.
        budget: Trainable parameters that were allowed.
        used: Those that are spent: ``reserved + sum(ranks * costs)``.
        reserved: Those that are spent whatever the ranks.
        ranks: (L,).
        costs: (L,) parameters of one rank.
        weights: (L,) that the ranks follow.
        cka_report_sha256: Of the file that the CKA values come from.
    """

    policy: str
    budget: int
    used: int
    reserved: int
    ranks: tuple[int, ...]
    costs: tuple[int, ...]
    weights: tuple[float, ...]
    cka_report_sha256: str | None = None


def allocate_ranks(
    cka: NDArray[np.float64] | None,
    costs: Sequence[int],
    settings: RankSettings,
    *,
    gradient_norms: NDArray[np.float64] | None = None,
    reserved: int = 0,
) -> RankAllocation:
    """Divides a budget among blocks.

    Never above the budget, and what is left buys no further rank of any block below ``r_max``:
    where costs are equal, less than one rank's. Equal blocks differ by one rank at most, the
    first ones have more. ``printed_formula`` alone neither keeps nor uses up the budget.

    Args:
        cka: (L,) CKA of each block, unless the policy needs none.
        costs: (L,) parameters of one rank.
        settings: Budget, policy and caps.
        gradient_norms: (L,) for the policy ``gradient``.
        reserved: Parameters of the budget that are spent whatever the ranks.

    Raises:
        ConfigError: The budget does not reach ``r_min`` everywhere, or values are missing,
            of another length, or impossible.
    """
    if not costs or min(costs) < 1:
        raise ConfigError(f"costs of one rank must be positive, got {list(costs)}")
    values = gradient_norms if settings.policy == "gradient" else cka
    weights = _weights(values, len(costs), settings)
    if settings.policy == "printed_formula":
        # Rounds halves to even, as Python's round() does.
        ranks = [int(r) for r in np.rint(settings.r_max * weights / weights.sum())]
    else:
        ranks = _divide(weights, [int(c) for c in costs], settings, reserved)
    used = reserved + sum(r * int(c) for r, c in zip(ranks, costs, strict=True))
    return RankAllocation(
        settings.policy,
        settings.budget,
        used,
        reserved,
        tuple(ranks),
        tuple(int(c) for c in costs),
        tuple(float(w) for w in weights),
    )


def save_allocation(path: Path, allocation: RankAllocation, **more: Any) -> None:
    """Writes ``ranks.json``; ``more`` stands beside the allocation's own fields."""
    write_text(path, json.dumps({**asdict(allocation), **more}, indent=1) + "\n")


def read_allocation(path: Path) -> RankAllocation:
    """Reads ``ranks.json``.

    Raises:
        ConfigError: Missing, not JSON or without the fields of an allocation.
    """
    content = _read(path)
    names = {field.name for field in fields(RankAllocation)}
    known = {k: v for k, v in content.items() if k in names}
    return build_config(RankAllocation, known, str(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not a readable rank allocation: {error}") from error
    return content if isinstance(content, dict) else {}


def planned_for(path: Path) -> dict[str, tuple[str, ...]]:
    """Adapted layers and trained parts that a readable ``ranks.json`` says its budget covers."""
    config = _read(path).get("config", {})
    return {name: tuple(config[name]) for name in ("modules", "parts") if name in config}


def _weights(
    values: NDArray[np.float64] | None, count: int, settings: RankSettings
) -> NDArray[np.float64]:
    """(count,) weights, positive except those of the printed formula, which may be 0."""
    policy = settings.policy
    if policy == "uniform":
        return np.ones(count)
    name = "gradient norms" if policy == "gradient" else "CKA values"
    if values is None:
        raise ConfigError(f"policy {policy} needs {name}")
    values = np.asarray(values, np.float64)
    if values.shape != (count,):
        raise ConfigError(f"expected {count} {name}, one per block, got {values.size}")
    if not np.isfinite(values).all():
        raise ConfigError(f"{name} must be finite numbers")
    if policy == "gradient":
        if values.min() < 0 or values.max() == 0:
            raise ConfigError("gradient norms must be at least 0, and one of them positive")
        need = values / values.max()
    else:
        if values.max() > 1 + 1e-9:
            raise ConfigError(f"CKA values must be at most 1, got {values.max():.3g}")
        need = np.asarray(1 - _rearranged(values, settings), np.float64)
    if policy == "printed_formula":
        if need.sum() <= 0:
            raise ConfigError("printed_formula is undefined where every CKA value is 1")
        return np.asarray(need, np.float64)
    return np.asarray(np.maximum(need, _LOWEST_WEIGHT) ** settings.gamma, np.float64)


def _rearranged(cka: NDArray[np.float64], settings: RankSettings) -> NDArray[np.float64]:
    """The values as the policy deals them out to the blocks."""
    ascending = np.sort(cka)
    if settings.policy == "random":
        order = np.random.default_rng(settings.seed).permutation(len(cka))
        return np.asarray(cka[order], np.float64)
    if settings.policy == "early":
        return ascending
    if settings.policy == "late":
        return ascending[::-1]
    if settings.policy == "reversed":
        dealt = np.empty_like(cka)
        dealt[np.argsort(cka, kind="stable")] = ascending[::-1]
        return dealt
    return cka


def _divide(
    weights: NDArray[np.float64], costs: list[int], settings: RankSettings, reserved: int
) -> list[int]:
    """Ranks in proportion to ``weights / costs`` within the caps, largest remainders first."""
    least, available = settings.r_min * sum(costs), settings.budget - reserved
    if available < least:
        spent_before = f" and {reserved:,} whatever the ranks" if reserved else ""
        raise ConfigError(
            f"a budget of {settings.budget:,} parameters is too small: rank {settings.r_min} "
            f"everywhere takes {least:,}{spent_before}"
        )
    ideal = _ideal_ranks(weights, np.asarray(costs, np.float64), settings, available)
    floor = np.floor(ideal + 10.0**-_TIE_DIGITS)
    remainders = np.round(ideal - floor, _TIE_DIGITS)
    ranks = [int(r) for r in floor]
    left = available - sum(r * c for r, c in zip(ranks, costs, strict=True))
    # By remainder, then by ideal rank, then from the first block on.
    order = np.lexsort((np.arange(len(costs)), -np.round(ideal, _TIE_DIGITS), -remainders))
    affordable = True
    while affordable:
        affordable = False
        for i in order:
            if ranks[i] < settings.r_max and costs[i] <= left:
                ranks[i] += 1
                left -= costs[i]
                affordable = True
    return ranks


def _ideal_ranks(
    weights: NDArray[np.float64],
    costs: NDArray[np.float64],
    settings: RankSettings,
    available: int,
) -> NDArray[np.float64]:
    """Fractional ranks ``level * weights / costs`` within the caps that cost ``available``.

    The cost is piecewise linear in the level, with a corner where a block meets a cap, so the
    level is found exactly between two corners.
    """
    lowest, highest = settings.r_min * costs, settings.r_max * costs
    corners = np.sort(np.concatenate([lowest / weights, highest / weights]))
    spent = np.clip(corners[:, None] * weights, lowest, highest).sum(1)
    level = np.interp(available, spent, corners)
    return np.asarray(np.clip(level * weights, lowest, highest) / costs, np.float64)
