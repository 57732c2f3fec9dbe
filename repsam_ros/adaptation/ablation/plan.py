"""Which runs there are, and which ranks each has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from repsam_ros.adaptation.ablation.config import (
    BLOCK,
    METHODS,
    NONE,
    RANKED,
    AblationConfig,
    ArmSettings,
)
from repsam_ros.adaptation.ablation.results import BLOCK_PREFIX, run_key
from repsam_ros.adaptation.ablation.score_matrices import RANDOM, UNIFORM
from repsam_ros.adaptation.ablation.verdict import DEFINITIONS
from repsam_ros.errors import ConfigError
from repsam_ros.network.ranks import RankSettings, allocate_ranks


@dataclass(frozen=True)
class PlannedRun:
    """One training and its evaluation.

    Attributes:
        arm: As the results name it, such as ``random_1`` or ``block_3``.
        ranks: One a block; empty where the method chooses or none are wanted.
        method: That trains.
    """

    arm: str
    mean_rank: int
    fusion: bool
    seed: int
    method: str
    ranks: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """Names the run and its folder."""
        return run_key(self.arm, self.mean_rank, self.fusion, self.seed)


def needed_comparisons(config: AblationConfig) -> tuple[str, ...]:
    """CKA comparisons whose values some arm follows."""
    found = [RANKED[one.arm][1] for one in config.arms if one.arm in RANKED]
    return tuple(dict.fromkeys(name for name in found if name is not None))


def plan_runs(
    config: AblationConfig, costs: tuple[int, ...], cka: Mapping[str, NDArray[np.float64]]
) -> list[PlannedRun]:
    """All runs, those of the primary comparison first, seed by seed.

    So an experiment that is cut short has pairs.

    Args:
        costs: Parameters of one rank in each block.
        cka: Values of each block by comparison.

    Raises:
        ConfigError: An arm is named twice at the same budget.
    """
    runs = [run for settings in config.arms for run in _runs_of(config, settings, costs, cka)]
    keys = [run.key for run in runs]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise ConfigError(f"run {twice[0]} is planned twice")
    # Sorting is stable: within a seed the order is the configuration's.
    return sorted(runs, key=lambda run: (not _is_primary(config, run), run.seed))


def first_of_same(runs: Sequence[PlannedRun]) -> dict[PlannedRun, PlannedRun]:
    """For each run the first one that trains the same ranks on the same input and seed."""
    found: dict[object, PlannedRun] = {}
    return {
        run: found.setdefault((run.method, run.ranks, run.fusion, run.seed), run)
        if run.ranks
        else run
        for run in runs
    }


def _is_primary(config: AblationConfig, run: PlannedRun) -> bool:
    wanted = config.verdict
    if (run.mean_rank, run.fusion) != (wanted.mean_rank, wanted.fusion):
        return False
    return run.arm in (UNIFORM, *DEFINITIONS) or run.arm.startswith(RANDOM)


def _runs_of(
    config: AblationConfig,
    settings: ArmSettings,
    costs: tuple[int, ...],
    cka: Mapping[str, NDArray[np.float64]],
) -> Iterator[PlannedRun]:
    for mean_rank in settings.mean_ranks:
        for arm, method, ranks in _variants(config, settings.arm, mean_rank, costs, cka):
            for fusion in settings.fusion:
                for seed in range(settings.seeds):
                    yield PlannedRun(arm, mean_rank, fusion, seed, method, ranks)


def _variants(
    config: AblationConfig,
    arm: str,
    mean_rank: int,
    costs: tuple[int, ...],
    cka: Mapping[str, NDArray[np.float64]],
) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Name, method and ranks of what the arm stands for."""
    if arm == BLOCK:
        for block in range(len(costs)):
            alone = tuple(mean_rank if k == block else 0 for k in range(len(costs)))
            yield f"{BLOCK_PREFIX}{block}", "repsam", alone
    elif arm == NONE:
        yield arm, "decoder_only", ()
    elif arm in METHODS:
        yield arm, arm, ()
    else:
        policy, comparison, gamma = RANKED[arm]
        values = None if comparison is None else cka[comparison]
        budget = mean_rank * sum(costs)
        for number in range(config.permutations if arm == RANDOM else 1):
            # No cap; the printed formula takes it for what all ranks add up to.
            most = mean_rank * len(costs)
            settings = RankSettings(budget, policy, gamma, r_min=0, r_max=most, seed=number)
            ranks = allocate_ranks(values, costs, settings).ranks
            yield (f"{RANDOM}_{number}" if arm == RANDOM else arm), "repsam", ranks
