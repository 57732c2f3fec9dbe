"""Analytic antipodal planner: candidates on surfaces, scored by what their geometry says.

After the sampling idea of GPD (ten Pas et al. 2017), without its network.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError
from repsam_ros.grasping.candidates import TERMS, Candidates
from repsam_ros.grasping.orientations import surface_orientations
from repsam_ros.grasping.planners import Planner, PlanResult
from repsam_ros.grasping.search import search
from repsam_ros.grasping.settings import SearchSettings
from repsam_ros.grasping.targets import Target
from repsam_ros.structures import SceneCloud


@dataclass(frozen=True)
class ScoreWeights:
    """Weights of the score's terms; only their ratios matter.

    Attributes:
        antipodal: Both contacts inside the friction cone.
        centroid: Closing line passes near the middle of the object.
        vertical: Approach along gravity (along the view where no plane is known).
        clearance: Finger tips well above the table.
        depth: Object reaches well in between the fingers.
        narrow: Small opening.
        known: Fingers end in space that the camera has seen to be free.
    """

    antipodal: float = 0.45
    centroid: float = 0.2
    vertical: float = 0.1
    clearance: float = 0.05
    depth: float = 0.1
    narrow: float = 0.05
    known: float = 0.15

    def __post_init__(self) -> None:
        values = [getattr(self, item.name) for item in fields(self)]
        if min(values) < 0 or sum(values) <= 0:
            raise ConfigError("score weights must be at least 0 and not all 0")

    def score(self, found: Candidates) -> NDArray[np.float64]:
        """(C,) weighted mean of the terms, in [0, 1]."""
        weights = np.array([getattr(self, name) for name in TERMS])
        return np.asarray(weights @ found.terms / weights.sum(), np.float64)


@dataclass(frozen=True)
class Config(SearchSettings):
    """Settings of the antipodal planner.

    Attributes:
        weights: Of the score.
    """

    weights: ScoreWeights = field(default_factory=ScoreWeights)


def build(config: Config) -> Planner:
    def score(target: Target, found: Candidates) -> NDArray[np.float64]:
        return config.weights.score(found)

    def plan(cloud: SceneCloud, targets: Collection[int] | None = None) -> PlanResult:
        return search(cloud, config, targets, surface_orientations, score)

    return plan
