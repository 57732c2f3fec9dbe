"""Where objects start before physics lets them settle: on a table, in a heap, in a compartment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from repsam_ros.simulation.groups import GAP_M, Group, half_size, place, yaw
from repsam_ros.simulation.objects import SimObject
from repsam_ros.simulation.settling import Placed

Array = NDArray[np.float64]


def _outline(placed: Placed) -> Array:
    """(4, 2) corners of an oriented rectangle around the object's shadow."""
    matrix = placed.rotation.as_matrix()
    reach = (matrix * placed.item.half_extents())[:2]
    longest = reach[:, int(np.argmax(np.linalg.norm(reach, axis=0)))]
    along = longest / max(float(np.linalg.norm(longest)), 1e-9)
    across = np.array([-along[1], along[0]])
    u = np.abs(along @ reach).sum() * along
    v = np.abs(across @ reach).sum() * across
    return np.array([u + v, u - v, -u - v, v - u]) + placed.position_m[:2]


def _turned(group: Group, angle_rad: float) -> Group:
    turn = yaw(angle_rad)
    centre = np.mean([part.position_m for part in group], axis=0) * [1, 1, 0]
    return [
        place(part.item, turn.apply(part.position_m - centre), turn * part.rotation)
        for part in group
    ]


def _moved(group: Group, xy: Array) -> Group:
    shift = np.array([*xy, 0.0])
    return [Placed(part.item, part.position_m + shift, part.quaternion) for part in group]


def _free_distance(outline: Array, standing: list[Array], direction: Array) -> float:
    """How far from its place along ``direction`` an outline is clear of all others, and beyond."""
    distance = 0.0
    for other in standing:
        low, high = -np.inf, np.inf
        for quad in (outline, other):
            for edge in (quad[1] - quad[0], quad[2] - quad[1]):
                normal = np.array([-edge[1], edge[0]])
                speed = float(normal @ direction)
                mine, theirs = outline @ normal, other @ normal
                bounds = theirs.min() - mine.max(), theirs.max() - mine.min()
                if abs(speed) < 1e-12:
                    if bounds[0] >= 0 or bounds[1] <= 0:
                        low, high = np.inf, -np.inf
                    continue
                first, second = sorted((bounds[0] / speed, bounds[1] / speed))
                low, high = max(low, first), min(high, second)
        if low < high:
            distance = max(distance, high)
    return distance


def slide_together(
    rng: np.random.Generator, groups: list[Group], spread_m: float, gap_m: float
) -> list[Placed]:
    """Slides one group after the other towards the middle until it meets those before it.

    Args:
        rng: Source of chance.
        groups: Each around its own origin.
        spread_m: How far from the middle they aim.
        gap_m: Mean distance to the neighbour met; a third of them touch.
    """
    shared = rng.uniform(0, np.pi) if rng.random() < 0.45 else None
    standing: list[Array] = []
    result: list[Placed] = []
    for index in rng.permutation(len(groups)):
        heading = rng.uniform(0, 2 * np.pi)
        if shared is not None and rng.random() < 0.75:
            heading = shared + 0.5 * np.pi * rng.integers(4) + rng.normal(0, 0.02)
        group = _turned(groups[index], heading)
        angle = rng.uniform(0, 2 * np.pi)
        if shared is not None:
            angle = shared + 0.5 * np.pi * rng.integers(4)
        direction = np.array([np.cos(angle), np.sin(angle)])
        group = _moved(group, rng.normal(0, spread_m, 2))
        outlines = [_outline(part) for part in group]
        distance = max(_free_distance(one, standing, direction) for one in outlines)
        gap = GAP_M if rng.random() < 0.35 else rng.exponential(gap_m) + GAP_M
        shift = (distance + gap) * direction if distance > 0 else np.zeros(2)
        standing += [one + shift for one in outlines]
        result += _moved(group, shift)
    return result


def fall_down(rng: np.random.Generator, items: list[SimObject], spread_m: float) -> list[Placed]:
    """Objects in any pose, each just above those under it, to fall into a heap."""
    corners: list[tuple[Array, Array]] = []
    placed = []
    for item in items:
        rotation = Rotation.random(random_state=rng)
        half = half_size(item, rotation)
        xy = rng.normal(0, spread_m, 2)
        low, high = xy - half[:2], xy + half[:2]
        under = [c[1][2] for c in corners if np.all(low < c[1][:2]) and np.all(high > c[0][:2])]
        z = max(under, default=0.0) + half[2] + 0.005
        corners.append((low, np.array([*high, z + half[2]])))
        placed.append(place(item, np.array([*xy, z]), rotation))
    return placed


def fill_rows(
    rng: np.random.Generator, groups: list[Group], low: Array, high: Array
) -> tuple[list[Placed], list[Group]]:
    """Puts groups side by side along x into a compartment, front row and back row.

    Args:
        rng: Source of chance.
        groups: Each around its own origin.
        low: (3,) lower corner of the compartment.
        high: (3,) upper corner of the compartment.

    Returns:
        What fits, and the groups that are left over.
    """
    result: list[Placed] = []
    left = list(groups)
    y = high[1] - 0.003
    while left and y > low[1]:
        start = rng.uniform(0.003, 0.5 * (high[0] - low[0]) / len(left) + 0.003)
        x, depth, later = low[0] + start, 0.0, []
        for group in left:
            turned = _turned(group, 0.5 * np.pi * rng.integers(4) + rng.normal(0, 0.08))
            outline = np.concatenate([_outline(part) for part in turned])
            first, last = outline.min(axis=0), outline.max(axis=0)
            tall = max(p.position_m[2] + half_size(p.item, p.rotation)[2] for p in turned)
            width, deep = last - first
            fits = x + width < high[0] and y - deep > low[1] and low[2] + tall + 0.01 < high[2]
            if not fits:
                later.append(group)
                continue
            shift = np.array([x - first[0], y - last[1], low[2]])
            result += [Placed(p.item, p.position_m + shift, p.quaternion) for p in turned]
            x += width + (GAP_M if rng.random() < 0.4 else rng.exponential(0.02) + GAP_M)
            depth = max(depth, deep)
        if depth == 0.0:
            break
        left = later
        y -= depth + rng.exponential(0.015) + GAP_M
    return result, left
