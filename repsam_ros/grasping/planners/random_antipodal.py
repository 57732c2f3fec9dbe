"""Lower bound: random hands whose contacts lie in the friction cone, in random order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from repsam_ros.grasping.candidates import Candidates
from repsam_ros.grasping.orientations import Orientations, random_orientations
from repsam_ros.grasping.planners import Planner, PlanResult
from repsam_ros.grasping.search import search
from repsam_ros.grasping.settings import SearchSettings
from repsam_ros.grasping.targets import Target
from repsam_ros.structures import Plane, SceneCloud


@dataclass(frozen=True)
class Config(SearchSettings):
    """Settings of the random planner; ``rolls`` random hands start from each sample."""


def build(config: Config) -> Planner:
    def propose(
        target: Target, plane: Plane | None, settings: SearchSettings, rejected: Counter[str]
    ) -> Orientations:
        return random_orientations(target, plane, settings, _generator(target, 0))

    def score(target: Target, found: Candidates) -> NDArray[np.float64]:
        return _generator(target, 1).random(len(found))

    def _generator(target: Target, use: int) -> np.random.Generator:
        return np.random.default_rng((config.seed, target.instance_id, use))

    def plan(cloud: SceneCloud, targets: Collection[int] | None = None) -> PlanResult:
        return search(cloud, config, targets, propose, score)

    return plan
