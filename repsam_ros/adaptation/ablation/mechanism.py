"""Whether 1 - CKA says where adaptation acts.

If CKA is to guide ranks, blocks with a low CKA must be those that full fine-tuning changes most and
those that gain most when they alone are adapted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from repsam_ros.errors import CheckpointError, ConfigError
from repsam_ros.metrics.statistics import rank_correlation
from repsam_ros.network.adapters import MODULES


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho of 1 - CKA with something else of each block.

    Attributes:
        values: One a block.
        p: Of permutations, two-sided.
    """

    values: tuple[float, ...]
    rho: float
    p: float


@dataclass(frozen=True)
class Mechanism:
    """What goes with 1 - CKA over the blocks.

    Attributes:
        update_norms: See :func:`update_norms`, None where not measured.
        single_block_gains: Points gained by adapting the block alone, None where not measured.
    """

    one_minus_cka: tuple[float, ...]
    update_norms: Correlation | None
    single_block_gains: Correlation | None


def check_mechanism(
    one_minus_cka: ArrayLike,
    update_norms: ArrayLike | None,
    single_block_gains: ArrayLike | None,
) -> Mechanism:
    """Correlates (L,) values of the blocks.

    Raises:
        ConfigError: Lengths differ, there are fewer than 3 blocks or a value is not finite.
    """
    x = np.asarray(one_minus_cka, np.float64)
    others = {"update_norms": update_norms, "single_block_gains": single_block_gains}
    found: dict[str, Correlation | None] = {}
    for name, given in {"one_minus_cka": x, **others}.items():
        if given is None:
            found[name] = None
            continue
        y = np.asarray(given, np.float64)
        if y.shape != (len(x),) or len(x) < 3 or not np.all(np.isfinite(y)):
            raise ConfigError(
                f"{name}: expected 3 or more finite values like one_minus_cka ({len(x)}), got "
                f"{y.tolist()}"
            )
        found[name] = Correlation(tuple(y.tolist()), *rank_correlation(x, y))
    return Mechanism(tuple(x.tolist()), found["update_norms"], found["single_block_gains"])


def update_norms(base: Mapping[str, Tensor], tuned: Mapping[str, Tensor]) -> NDArray[np.float64]:
    """(L,) relative change |dW| / |W| of each block of the image encoder.

    Frobenius norms over the weight matrices of attention and MLP together, so that large blocks
    and large weights do not count for more.

    Raises:
        CheckpointError: A matrix is missing or has another shape in ``tuned``.
    """
    blocks = 0
    while f"{_block(blocks)}.{MODULES['qkv']}.weight" in base:
        blocks += 1
    if not blocks:
        raise CheckpointError(f"the base has no {_block(0)}.{MODULES['qkv']}.weight")
    return np.array([_relative_change(base, tuned, block) for block in range(blocks)])


def _block(number: int) -> str:
    return f"image_encoder.blocks.{number}"


def _relative_change(base: Mapping[str, Tensor], tuned: Mapping[str, Tensor], block: int) -> float:
    change, size = 0.0, 0.0
    for module in MODULES.values():
        name = f"{_block(block)}.{module}.weight"
        if name not in base or name not in tuned or base[name].shape != tuned[name].shape:
            raise CheckpointError(f"{name} is missing or has another shape in one of the networks")
        before, after = (weights[name].to("cpu", torch.float64) for weights in (base, tuned))
        change += float((after - before).square().sum())
        size += float(before.square().sum())
    return float(np.sqrt(change / size))
