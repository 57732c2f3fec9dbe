"""What one run of the ablation leaves behind."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from repsam_ros.errors import DatasetError, shortened
from repsam_ros.evaluation.metrics import SCORE_NAMES

# Arms in which one block alone is adapted start so; its number follows.
BLOCK_PREFIX = "block_"
INPUTS = {True: "RGB-D", False: "RGB"}


@dataclass(frozen=True)
class Scores:
    """Scores of N images of one data set.

    Attributes:
        names: Images, each once.
        scenes: Scene of each image, "" = not known.
        values: N percentages by names of ``SCORE_NAMES``.

    Raises:
        DatasetError: Lengths differ, a name occurs twice, or a score is unknown or not finite.
    """

    names: tuple[str, ...]
    scenes: tuple[str, ...]
    values: dict[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        if not self.names:
            raise DatasetError("no images")
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise DatasetError(f"{shortened(twice)} more than once")
        if unknown := [name for name in self.values if name not in SCORE_NAMES]:
            raise DatasetError(f"unknown score {unknown[0]!r}; there are {', '.join(SCORE_NAMES)}")
        for what, given in {"scenes": self.scenes, **self.values}.items():
            if len(given) != len(self.names):
                raise DatasetError(f"{what}: expected {len(self.names)} like names, {len(given)}")
        for name, values in self.values.items():
            if not np.all(np.isfinite(values)):
                raise DatasetError(f"{name} is not finite")


@dataclass(frozen=True)
class RunResult:
    """One trained and evaluated network.

    Attributes:
        arm: How ranks were chosen: ``uniform``, ``cka``, ``random_0`` ...
        mean_rank: Budget, as the rank that ``uniform`` gives every block.
        fusion: RGB-D where true, RGB where false.
        ranks: One a block, or one a layer with the layers of a block together; empty without
            adapters.
        adapter_params: Trainable parameters of the adapters alone.
        trainable_params: All trainable parameters.
        learning_rate: Peak of the schedule.
        steps: Optimiser steps.
        seconds: Training and evaluation.
        scores: By data set.
    """

    arm: str
    mean_rank: int
    fusion: bool
    seed: int
    ranks: tuple[int, ...]
    adapter_params: int
    trainable_params: int
    learning_rate: float
    steps: int
    seconds: float
    scores: dict[str, Scores]

    @property
    def key(self) -> str:
        """See :func:`run_key`."""
        return run_key(self.arm, self.mean_rank, self.fusion, self.seed)


def run_key(arm: str, mean_rank: int, fusion: bool, seed: int) -> str:
    """Names a run and its folder, such as ``uniform-r4-rgbd-s0``."""
    return f"{arm}-r{mean_rank}-{'rgbd' if fusion else 'rgb'}-s{seed}"
