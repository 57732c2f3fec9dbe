"""Which candidates become grasps: the first that are free and unlike each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from repsam_ros.grasping.candidates import Candidates
from repsam_ros.grasping.collisions import Obstacles
from repsam_ros.grasping.settings import SearchSettings

_BATCH = 16

IsLate = Callable[[], bool]


def choose(
    found: Candidates,
    obstacles: Obstacles,
    instance_id: int,
    settings: SearchSettings,
    rejected: Counter[str],
    is_late: IsLate,
) -> list[tuple[int, float]]:
    """Rows of the chosen candidates, in their order, each with its opening in metres."""
    openings_m = obstacles.openings_m(found.positions_m, found.rotations, found.parts_m)
    alike = _alike(found, settings)
    chosen: list[tuple[int, float]] = []
    waiting = np.ones(len(found), bool)
    while waiting.any() and len(chosen) < settings.max_grasps_per_object and not is_late():
        batch = _unlike(alike, waiting)
        free_m = _free_opening_m(obstacles, found.take(batch), openings_m[batch], instance_id)
        waiting[batch] = False
        rejected["collision"] += int(np.isnan(free_m).sum())
        for best, opening_m in zip(batch, free_m, strict=True):
            if not np.isnan(opening_m) and len(chosen) < settings.max_grasps_per_object:
                chosen.append((int(best), float(opening_m)))
                rejected["similar"] += int((waiting & alike[best]).sum())
                waiting &= ~alike[best]
    return chosen


def free_roughly(
    found: Candidates, obstacles: Obstacles, instance_id: int, rejected: Counter[str]
) -> Candidates:
    """Those that a part of the other objects leaves, as roughly as they themselves are known."""
    openings_m = obstacles.openings_m(found.positions_m, found.rotations, found.parts_m)
    # Where the least opening is not free of other objects, no other is.
    free_m = _free_opening_m(obstacles, found, openings_m[:, :1], instance_id)
    rows = np.flatnonzero(~np.isnan(free_m))
    rejected["collision"] += len(found) - len(rows)
    return found.take(rows)


def _free_opening_m(
    obstacles: Obstacles,
    found: Candidates,
    openings_m: NDArray[np.float64],
    instance_id: int,
) -> NDArray[np.float64]:
    return obstacles.free_opening_m(found.positions_m, found.rotations, openings_m, instance_id)


def _unlike(alike: NDArray[np.bool_], waiting: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The first of those waiting that differ from each other, at most a batch."""
    batch: list[int] = []
    left = waiting.copy()
    while left.any() and len(batch) < _BATCH:
        best = int(left.argmax())
        batch.append(best)
        left &= ~alike[best]
        left[best] = False
    return np.array(batch, np.intp)


def _alike(found: Candidates, settings: SearchSettings) -> NDArray[np.bool_]:
    """(C, C) whether two candidates are the same grasp; half turns are the same."""
    if not len(found):
        return np.zeros((0, 0), bool)
    offsets_m = found.positions_m - found.positions_m.mean(axis=0)
    squares = (offsets_m**2).sum(axis=1)
    apart = squares[:, None] + squares - 2 * offsets_m @ offsets_m.T
    cosine = np.cos(settings.similar_angle_rad)
    approach, closing = found.rotations[:, :, 2], found.rotations[:, :, 1]
    alike: NDArray[np.bool_] = apart < settings.similar_distance_m**2
    alike &= approach @ approach.T > cosine
    alike &= np.abs(closing @ closing.T) > cosine
    return alike
