"""Learned planner: candidates of the antipodal planner, ranked by a network that knows how such
grasps ended in simulated physics.

The roles of Dex-Net 2.0 (Mahler et al. 2017: sample antipodal grasps, rank them by the predicted
quality) and of 6-DOF GraspNet (Mousavian et al. 2019: evaluate full poses in a cloud, then refine
the best ones) with a network of this project's own, see :mod:`repsam_ros.grasping.scorer`.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError
from repsam_ros.grasping.collisions import Obstacles, find_obstacles
from repsam_ros.grasping.planners import Planner, PlanResult, antipodal
from repsam_ros.grasping.scorer.crops import Cropper
from repsam_ros.grasping.scorer.network import GraspScorer, find_scorer, open_scorer
from repsam_ros.grasping.scorer.variants import beside, free_grasps
from repsam_ros.structures import Grasp, SceneCloud

# Moves along the closing axis and the approach that are tried, and shares of the opening.
_ALONG_M = (-0.012, -0.006, 0.006, 0.012)
_BELOW_M = (-0.01, -0.005, 0.005, 0.01)
_WIDTHS = (0.7, 0.85)


@dataclass(frozen=True)
class Config(antipodal.Config):
    """Settings of the learned planner; ``weights`` order the candidates before the network does.

    Attributes:
        scorer: Name of a grasp scorer in models/manifest.yaml, or the path of its weights.
        offers: Best candidates of each object that are ranked.
        refined: Best of these that are also tried moved a little and less far open.
        analytic_share: Share of the antipodal planner's score in the mean of both; 0 = the
            network's chances alone.
        search_share: Share of the deadline after which candidates are no longer sought.
    """

    min_contact: float = 0.1
    max_behind_share: float = 1.0
    similar_distance_m: float = 0.01
    scorer: str = "grasp_scorer"
    offers: int = 24
    refined: int = 4
    analytic_share: float = 0.3
    search_share: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.offers < 1 or self.refined < 0:
            raise ConfigError("offers must be at least 1 and refined not negative")
        if not 0 < self.search_share <= 1 or not 0 <= self.analytic_share <= 1:
            raise ConfigError("search_share and analytic_share must lie between 0 and 1")


def weights_sha256(config: Config) -> str:
    return find_scorer(config.scorer)[1]


def build(config: Config) -> Planner:
    scorer = open_scorer(config.scorer)
    sought = replace(
        config,
        max_grasps_per_object=config.offers,
        deadline_s=config.deadline_s * config.search_share,
    )
    offer = antipodal.build(sought)

    def plan(cloud: SceneCloud, targets: Collection[int] | None = None) -> PlanResult:
        offered = offer(cloud, targets)
        grasps: list[Grasp] = []
        if offered.grasps:
            ranking = _Ranking(config, scorer, Cropper(cloud, config.gripper), cloud)
            by_object = sorted(offered.grasps, key=lambda grasp: grasp.instance_id)
            for _, some in itertools.groupby(by_object, key=lambda grasp: grasp.instance_id):
                grasps += ranking.best(list(some))
        grasps.sort(key=lambda grasp: (-grasp.score, grasp.instance_id))
        return replace(offered, grasps=grasps)

    return plan


class _Ranking:
    """Ranks the candidates of one object at a time, so that others change no digit."""

    def __init__(
        self, config: Config, scorer: GraspScorer, crop: Cropper, cloud: SceneCloud
    ) -> None:
        self._config = config
        self._scorer = scorer
        self._crop = crop
        self._obstacles: Obstacles = find_obstacles(cloud, config)

    def best(self, offered: list[Grasp]) -> list[Grasp]:
        """The best of an object's candidates, each as it is or as its best variant."""
        ratings = self._rate(offered)
        order = np.argsort(-ratings, kind="stable")
        rated = [(float(ratings[index]), offered[index]) for index in order]
        groups = [
            free_grasps(_variants(grasp), self._obstacles, self._config)
            for _, grasp in rated[: self._config.refined]
        ]
        variants = [grasp for group in groups for grasp in group]
        if variants:
            better = iter(zip(self._rate(variants).tolist(), variants, strict=True))
            for place, group in enumerate(groups):
                several = [rated[place], *itertools.islice(better, len(group))]
                rated[place] = max(several, key=lambda pair: pair[0])
            rated.sort(key=lambda pair: -pair[0])
        count = self._config.max_grasps_per_object
        return [replace(grasp, score=rating) for rating, grasp in rated[:count]]

    def _rate(self, grasps: list[Grasp]) -> NDArray[np.float64]:
        """(G,) mean of the network's chances and the scores of the candidates."""
        share = self._config.analytic_share
        scores = np.array([grasp.score for grasp in grasps])
        return (1 - share) * self._scorer(self._crop(grasps)) + share * scores


def _variants(grasp: Grasp) -> list[Grasp]:
    moves = [(0.0, along, 0.0) for along in _ALONG_M] + [(0.0, 0.0, below) for below in _BELOW_M]
    moved = [beside(grasp, move, grasp.width_m) for move in moves]
    return moved + [beside(grasp, (0.0, 0.0, 0.0), grasp.width_m * share) for share in _WIDTHS]
