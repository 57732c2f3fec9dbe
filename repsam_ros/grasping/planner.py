"""An analytic antipodal grasp planner for one view of a scene.

For each object: sample surface points, try approaches (into the surface, straight down, two
tilted along the view), rolls and depths, keep what the fingers can hold
(:mod:`repsam_ros.grasping.candidates`), score it, and return the best that neither hit known
points nor the table and that differ from each other.

"Down" is the negative normal of the support plane. Where the cloud has no plane it is unknown:
then only the viewing direction and the directions into the surface are tried, without limit on
their tilt, and there is no table to hit except as points.

What counts as an obstacle: every point of the cloud, the object's own included, against the open
fingers and against the palm and what it sweeps over ``approach_m``; and the support plane.
Occluded space is not taken for free. A finger may not end in the shadow of something else than
the object, where the object's visible end need not be its real end (``max_behind_share``). The
object's own shadow, where the far finger of most grasps ends, is allowed; the share of the
fingers in known space is a term of the score. The palm and the approach are not tested against
occluded space.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from repsam_ros.grasping.candidates import Candidates, make_candidates
from repsam_ros.grasping.collisions import SeenSpace, hits_points
from repsam_ros.grasping.settings import PlannerSettings, ScoreWeights
from repsam_ros.grasping.targets import make_target
from repsam_ros.structures import Grasp, SceneCloud

__all__ = ["PlanResult", "PlannerSettings", "plan", "plan_grasps"]

_BATCH = 8


@dataclass(frozen=True)
class PlanResult:
    """What planning on one cloud gave.

    Attributes:
        grasps: Best first.
        rejected: Number of candidates by cause: ``too_small`` (objects, not candidates),
            ``too_steep``, ``table``, ``too_wide``, ``too_few_points``, ``palm`` (held part longer
            than the fingers), ``not_antipodal``, ``hidden`` (a finger behind something else),
            ``collision``, ``similar``.
    """

    grasps: list[Grasp]
    rejected: Counter[str]


def plan_grasps(
    cloud: SceneCloud, settings: PlannerSettings, targets: Collection[int] | None = None
) -> list[Grasp]:
    """Grasps on the objects of a cloud, best first; see :func:`plan`."""
    return plan(cloud, settings, targets).grasps


def plan(
    cloud: SceneCloud, settings: PlannerSettings, targets: Collection[int] | None = None
) -> PlanResult:
    """Grasps and why other candidates were dropped; equal input gives equal output.

    Args:
        targets: Instance ids to plan for; all when None. Other objects stay obstacles.
    """
    ids = [int(value) for value in np.unique(cloud.instance_ids) if value]
    rejected: Counter[str] = Counter()
    grasps: list[Grasp] = []
    seen = SeenSpace(cloud, settings.occlusion_margin_m)
    obstacles_m = cloud.points_m
    if cloud.support_plane is not None:
        # No part of the hand comes below the table clearance, so neither do its collisions.
        heights_m = cloud.support_plane.height_m(obstacles_m)
        obstacles_m = obstacles_m[heights_m >= settings.table_clearance_m]
    for instance_id in ids:
        if targets is None or instance_id in targets:
            grasps += _plan_object(cloud, instance_id, obstacles_m, seen, settings, rejected)
    grasps.sort(key=lambda grasp: -grasp.score)
    return PlanResult(grasps, Counter({cause: n for cause, n in rejected.items() if n}))


def _plan_object(
    cloud: SceneCloud,
    instance_id: int,
    obstacles_m: NDArray[np.float32],
    seen: SeenSpace,
    settings: PlannerSettings,
    rejected: Counter[str],
) -> list[Grasp]:
    target = make_target(cloud, instance_id, settings)
    if target is None:
        rejected["too_small"] += 1
        return []
    found = make_candidates(target, cloud.support_plane, seen, settings, rejected)
    widths_m = settings.opening_m(found.parts_m)
    scores = _scores(found, settings.weights)
    order = np.argsort(-scores, kind="stable")[: settings.max_checked_per_object]
    found, scores, widths_m = found.take(order), scores[order], widths_m[order]
    hand = settings.gripper
    hand_m = hand.finger_length_m + hand.palm_length_m + hand.palm_width_m / 2
    near_m = np.ptp(target.points_m, axis=0).max() / 2 + hand_m + settings.approach_m
    middle_m = (target.points_m.min(axis=0) + target.points_m.max(axis=0)) / 2
    near = np.abs(obstacles_m - middle_m.astype(np.float32)).max(axis=1) < near_m
    chosen = _choose(found, widths_m, obstacles_m[near], settings, rejected)
    return [
        Grasp(
            position_m=found.positions_m[index],
            rotation=found.rotations[index],
            width_m=float(widths_m[index]),
            score=float(scores[index]),
            instance_id=instance_id,
        )
        for index in chosen
    ]


def _scores(found: Candidates, weights: ScoreWeights) -> NDArray[np.float64]:
    """(C,) weighted mean of the terms, in [0, 1]."""
    values = {item.name: getattr(weights, item.name) for item in fields(weights)}
    total = sum(values[name] * term for name, term in found.terms.items())
    return np.asarray(total / sum(values.values()), np.float64)


def _choose(
    found: Candidates,
    widths_m: NDArray[np.float64],
    obstacles_m: NDArray[np.float32],
    settings: PlannerSettings,
    rejected: Counter[str],
) -> list[int]:
    """Indices of the first candidates that are free and unlike each other."""
    chosen: list[int] = []
    waiting = np.arange(len(found))
    while len(waiting) and len(chosen) < settings.max_grasps_per_object:
        batch = _unlike(found, waiting, settings)
        hits = hits_points(
            found.positions_m[batch],
            found.rotations[batch],
            widths_m[batch],
            obstacles_m,
            settings.gripper,
            settings.approach_m,
        )
        rejected["collision"] += int(hits.sum())
        waiting = waiting[~np.isin(waiting, batch)]
        for best in batch[~hits][: settings.max_grasps_per_object - len(chosen)]:
            chosen.append(int(best))
            repeats = _similar(found, int(best), waiting, settings)
            rejected["similar"] += int(repeats.sum())
            waiting = waiting[~repeats]
    return chosen


def _unlike(
    found: Candidates, waiting: NDArray[np.intp], settings: PlannerSettings
) -> NDArray[np.intp]:
    """The first of those waiting that differ from each other, at most a batch."""
    batch: list[int] = []
    while len(waiting) and len(batch) < _BATCH:
        best, waiting = int(waiting[0]), waiting[1:]
        batch.append(best)
        waiting = waiting[~_similar(found, best, waiting, settings)]
    return np.array(batch, np.intp)


def _similar(
    found: Candidates, best: int, others: NDArray[np.intp], settings: PlannerSettings
) -> NDArray[np.bool_]:
    """(len(others),) whether these are the same grasp as ``best``; half turns are the same."""
    apart_m = np.linalg.norm(found.positions_m[others] - found.positions_m[best], axis=1)
    cosine = np.cos(settings.similar_angle_rad)
    along = found.rotations[others]
    same_approach = along[:, :, 2] @ found.rotations[best, :, 2] > cosine
    same_closing = np.abs(along[:, :, 1] @ found.rotations[best, :, 1]) > cosine
    near = apart_m < settings.similar_distance_m
    similar: NDArray[np.bool_] = near & same_approach & same_closing
    return similar
