"""The search behind the planners that test candidates on surfaces.

For each object: candidates (:mod:`repsam_ros.grasping.candidates`) of the orientations that the
planner proposes, measured on a few points of the object and put in the order of the planner's
score; the first that other objects leave room for, measured on all points and put in order again;
of these the first that neither hit known points nor the table and that differ from each other.
Where that gives no grasp, the next candidates have their turn.

"Down" is the negative normal of the support plane. Where the cloud has no plane it is unknown:
then only the viewing direction and the directions into the surface are tried, without limit on
their tilt, and there is no table to hit except as points.

What counts as an obstacle: every point of the cloud, the object's own included, against the open
fingers and against the palm and what it sweeps over ``approach_m``; points of other objects
between the fingers; and the support plane. Of several openings the widest free one is taken, since
an object often goes on where the camera does not see it.
Occluded space is not taken for free. A finger may not end in the shadow of something else than
the object, where the object's visible end need not be its real end (``max_behind_share``). The
object's own shadow, where the far finger of most grasps ends, is allowed; the share of the
fingers in known space is a term of the score. The palm and the approach are not tested against
occluded space.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from repsam_ros.grasping.candidates import Candidates, Measurer
from repsam_ros.grasping.collisions import Obstacles, SeenSpace, find_obstacles
from repsam_ros.grasping.orientations import Orientations
from repsam_ros.grasping.planners import PlanResult
from repsam_ros.grasping.selection import IsLate, choose, free_roughly
from repsam_ros.grasping.settings import HandSettings, SearchSettings
from repsam_ros.grasping.targets import Target, find_targets
from repsam_ros.structures import Grasp, Plane, SceneCloud

# So many candidates are looked at closely before, if none of them is a grasp, the next ones are.
_AT_ONCE = 64

Propose = Callable[[Target, Plane | None, SearchSettings, Counter[str]], Orientations]
Score = Callable[[Target, Candidates], NDArray[np.float64]]
PlanOne = Callable[[int, Counter[str], IsLate], list[Grasp]]


def plan_each(
    cloud: SceneCloud,
    targets: Collection[int] | None,
    settings: HandSettings,
    plan_one: PlanOne,
) -> PlanResult:
    """Plans object by object until the deadline."""
    start_s = time.monotonic()

    def is_late() -> bool:
        return 0 < settings.deadline_s < time.monotonic() - start_s

    grasps: list[Grasp] = []
    rejected: Counter[str] = Counter()
    unfinished = []
    for instance_id in highest_first(cloud, targets):
        if not is_late():
            grasps += plan_one(instance_id, rejected, is_late)
        if is_late():
            unfinished.append(instance_id)
    grasps.sort(key=lambda grasp: (-grasp.score, grasp.instance_id))
    causes = Counter({cause: count for cause, count in rejected.items() if count})
    return PlanResult(grasps, causes, tuple(unfinished))


def highest_first(cloud: SceneCloud, targets: Collection[int] | None) -> list[int]:
    """Instances to plan for: what lies on top can be picked first."""
    ids = np.unique(cloud.instance_ids[cloud.instance_ids > 0])
    wanted = [int(each) for each in ids if targets is None or int(each) in targets]
    plane = cloud.support_plane
    if plane is None:
        return wanted
    heights_m = plane.height_m(cloud.points_m)
    tops_m = {each: float(heights_m[cloud.instance_ids == each].max()) for each in wanted}
    return sorted(wanted, key=lambda each: -tops_m[each])


def search(
    cloud: SceneCloud,
    settings: SearchSettings,
    targets: Collection[int] | None,
    propose: Propose,
    score: Score,
) -> PlanResult:
    """What a planner returns that proposes these orientations and scores like this."""
    one = _Search(cloud, targets, settings, propose, score)
    return plan_each(cloud, targets, settings, one.plan)


@dataclass(frozen=True)
class _Search:
    """What all objects of a cloud share."""

    cloud: SceneCloud
    wanted: Collection[int] | None
    settings: SearchSettings
    propose: Propose
    score: Score

    @cached_property
    def _targets(self) -> dict[int, Target]:
        return find_targets(self.cloud, self.wanted, self.settings)

    @cached_property
    def _seen(self) -> SeenSpace:
        return SeenSpace(self.cloud, self.settings.occlusion_margin_m)

    @cached_property
    def _obstacles(self) -> Obstacles:
        return find_obstacles(self.cloud, self.settings)

    @cached_property
    def _some_obstacles(self) -> Obstacles:
        return self._obstacles.thinned()

    def plan(self, instance_id: int, rejected: Counter[str], is_late: IsLate) -> list[Grasp]:
        plane, settings = self.cloud.support_plane, self.settings
        target = self._targets.get(instance_id)
        if target is None:
            rejected["too_small"] += 1
            return []
        orientations = self.propose(target, plane, settings, rejected)
        measurer = Measurer(target, orientations.rotations, plane, settings, rejected)
        rough = measurer.roughly(orientations.pairs)
        order = np.argsort(-self.score(target, rough), kind="stable")
        sparse = self._some_obstacles.others(instance_id)
        grasps: list[Grasp] = []
        order = order[: settings.max_checked_per_object]
        for turn in np.split(order, np.arange(_AT_ONCE, len(order), _AT_ONCE)):
            if grasps or is_late():
                break
            hands = free_roughly(rough.take(turn), sparse, instance_id, rejected).hands
            found, scores = self._best(target, measurer.closely(hands, self._seen))
            if not len(found):
                continue
            grasps = [
                Grasp(
                    position_m=found.positions_m[index],
                    rotation=found.rotations[index],
                    width_m=width_m,
                    score=float(scores[index]),
                    instance_id=instance_id,
                )
                for index, width_m in choose(
                    found, self._obstacles, instance_id, settings, rejected, is_late
                )
            ]
        return grasps

    def _best(self, target: Target, found: Candidates) -> tuple[Candidates, NDArray[np.float64]]:
        """Candidates and their scores, best first."""
        scores = self.score(target, found)
        order = np.argsort(-scores, kind="stable")
        return found.take(order), scores[order]
