"""What one run of the ablation leaves behind."""

from __future__ import annotations

from dataclasses import dataclass

from repsam_ros.adaptation.image_scores import Scores

# Arms in which one block alone is adapted start so; its number follows.
BLOCK_PREFIX = "block_"
INPUTS = {True: "RGB-D", False: "RGB"}


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
