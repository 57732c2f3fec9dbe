"""Where objects start before physics lets them settle.

Objects stand together in *groups*: alone, as a row of touching boxes, as a tower, or one leaning
against another. Groups slide towards the middle of the table until they meet what stands there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from repsam_ros.simulation.objects import FAMILIES, SimObject
from repsam_ros.simulation.settling import Placed

Array = NDArray[np.float64]
Group = list[Placed]

# Left between what touches, so that physics does not start with a push.
GAP_M = 2e-4
DROP_M = 1e-3
CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
# Quarter turns that put each axis of a box up.
FACES = [
    Rotation.from_euler("y", 0.5 * np.pi),
    Rotation.from_euler("x", 0.5 * np.pi),
    Rotation.identity(),
]


def _placed(item: SimObject, position_m: Array, rotation: Rotation) -> Placed:
    return Placed(item, np.asarray(position_m), np.roll(rotation.as_quat(), 1))


def _rotation(placed: Placed) -> Rotation:
    return Rotation.from_quat(np.roll(placed.quaternion, -1))


def half_size(item: SimObject, rotation: Rotation) -> Array:
    """(3,) half size of the bounding box along the world's axes."""
    half: Array = np.abs(rotation.as_matrix()) @ item.half_extents()
    return half


def _yaw(angle_rad: float) -> Rotation:
    return Rotation.from_euler("z", angle_rad)


def _stance(rng: np.random.Generator, item: SimObject) -> Rotation:
    """A way to stand or lie, without yaw."""
    if item.is_box:
        order = np.argsort(item.half_extents())
        # Thin things seldom stand on their edge on their own; posts do, and hide what is behind.
        if 2 * item.half_extents()[order[0]] < 0.02:
            return FACES[order[0]]
        flat, edge, end = (0.2, 0.2, 0.6) if item.family == "bar" else (0.4, 0.3, 0.3)
        return FACES[order[rng.choice(3, p=(flat, edge, end))]]
    if item.mesh is not None:
        return Rotation.identity()
    family, draw = FAMILIES[item.family], rng.random()
    if draw < family.lying:
        return _yaw(rng.uniform(0, 2 * np.pi)) * FACES[1] * _yaw(rng.uniform(0, 2 * np.pi))
    if draw < family.lying + family.upside_down:
        return Rotation.from_euler("x", np.pi)
    return Rotation.identity()


def _standing(rng: np.random.Generator, item: SimObject) -> Placed:
    rotation = _stance(rng, item)
    return _placed(item, np.array([0, 0, half_size(item, rotation)[2] + DROP_M]), rotation)


def row(rng: np.random.Generator, boxes: list[SimObject]) -> Group:
    """Boxes side by side, faces touching, fronts flush or not."""
    group, x = [], 0.0
    flush, shared = rng.random() < 0.6, int(rng.integers(3))
    for item in boxes:
        axis = shared if rng.random() < 0.7 else int(rng.integers(3))
        rotation = _yaw(0.5 * np.pi * rng.integers(2) * (rng.random() < 0.3)) * FACES[axis]
        half = half_size(item, rotation)
        if 4 * min(half[:2]) < half[2]:
            rotation = FACES[int(np.argmin(item.half_extents()))]
            half = half_size(item, rotation)
        y = half[1] if flush else rng.normal(0, 0.2) * half[1]
        group.append(_placed(item, np.array([x + half[0], y, half[2] + DROP_M]), rotation))
        x += 2 * half[0] + GAP_M
    return group


def tower(rng: np.random.Generator, boxes: list[SimObject]) -> Group:
    """Boxes on top of each other, the widest below, edges flush or shifted."""
    boxes = sorted(boxes, key=lambda item: -float(np.sort(item.half_extents())[1:].prod()))
    group: Group = []
    top, carrier = 0.0, np.array([np.inf, np.inf])
    flush = rng.random() < 0.4
    for item in boxes:
        half = np.asarray(item.half_extents())
        up = int(np.argmin(half)) if group or rng.random() < 0.6 else int(rng.integers(3))
        turn = rng.normal(0, 0.01) if flush else rng.choice([rng.normal(0, 0.1), rng.uniform(0, 6)])
        rotation = FACES[up]
        if half_size(item, rotation)[0] < half_size(item, rotation)[1]:
            rotation = _yaw(0.5 * np.pi) * rotation
        rotation = _yaw(turn) * rotation
        size = half_size(item, rotation)
        spread = 0.004 if flush else 0.35 * np.minimum(size[:2], carrier)
        shift = rng.normal(0, 1, 2) * spread if group else np.zeros(2)
        if group:
            shift = np.clip(shift, -0.7 * size[:2], 0.7 * size[:2])
            shift = np.clip(shift, -0.7 * carrier, 0.7 * carrier)
        centre = (group[-1].position_m[:2] if group else np.zeros(2)) + shift
        group.append(_placed(item, np.array([*centre, top + size[2] + DROP_M]), rotation))
        top += 2 * size[2] + DROP_M
        carrier = size[:2]
    return group


def leaning(rng: np.random.Generator, slab: SimObject, support: SimObject) -> Group:
    """A box that leans against another one."""
    stance = FACES[int(np.argsort(support.half_extents())[rng.integers(1, 3)])]
    hold = half_size(support, stance)
    if hold[0] > hold[1]:  # the broad side takes the push
        stance = _yaw(0.5 * np.pi) * stance
        hold = half_size(support, stance)
    half = np.asarray(slab.half_extents())
    thin, middle, long = np.argsort(half)
    length, thick = 2 * half[long], half[thin]
    tilt = rng.uniform(0.12, 0.5)
    height = min(length * np.cos(tilt), 2 * hold[2])
    # The inner face's lower edge stands so far out that the slab just meets the support.
    foot = hold[0] + height * np.tan(tilt) + GAP_M
    up = np.array([-np.sin(tilt), 0, np.cos(tilt)])
    out = np.array([np.cos(tilt), 0, np.sin(tilt)])
    columns = np.zeros((3, 3))
    columns[:, long], columns[:, thin] = up, out
    columns[:, middle] = np.cross(columns[:, (middle + 1) % 3], columns[:, (middle + 2) % 3])
    centre = np.array([foot, rng.normal(0, 0.3) * hold[1], DROP_M]) + half[long] * up + thick * out
    return [
        _placed(support, np.array([0, 0, hold[2] + DROP_M]), stance),
        _placed(slab, centre, Rotation.from_matrix(columns)),
    ]


def make_groups(rng: np.random.Generator, items: list[SimObject], stacked: float) -> list[Group]:
    """Puts objects into groups; each object is in one of them.

    Args:
        rng: Source of chance.
        items: Objects.
        stacked: Share of boxes that stand in a row, tower or lean.
    """
    groups: list[Group] = []
    boxes = [item for item in items if item.is_box]
    others = [item for item in items if not item.is_box]
    while boxes:
        count = int(rng.integers(2, 5))
        draw = rng.random()
        taken, rest = boxes[:count], boxes[count:]
        if len(boxes) == 1 or draw > stacked:
            taken, rest = boxes[:1], boxes[1:]
            groups.append([_standing(rng, taken[0])])
        elif draw < 0.4 * stacked:
            groups.append(tower(rng, _alike(rng, taken)))
        elif draw < 0.8 * stacked:
            groups.append(row(rng, _alike(rng, taken)))
        else:
            taken, rest = boxes[:2], boxes[2:]
            slab, support = sorted(taken, key=lambda item: float(item.half_extents().min()))
            groups.append(leaning(rng, slab, support))
        boxes = rest
    for item in others:
        below = [g for g in groups if len(g) < 3 and _carries(g[-1], item)]
        if below and rng.random() < 0.5 * stacked:
            _put_on(rng, below[int(rng.integers(len(below)))], item)
        else:
            groups.append([_standing(rng, item)])
    return groups


def _alike(rng: np.random.Generator, boxes: list[SimObject]) -> list[SimObject]:
    """Often the same box several times, as in a shop."""
    return [boxes[0]] * len(boxes) if rng.random() < 0.45 else boxes


def _carries(below: Placed, item: SimObject) -> bool:
    """Whether ``item`` can stand on a box."""
    if not below.item.is_box:
        return False
    matrix = np.abs(_rotation(below).as_matrix())
    if matrix[2].max() < 0.999:
        return False
    room = half_size(below.item, _rotation(below))[:2]
    return bool(np.all(item.half_extents()[:2] < room))


def _put_on(rng: np.random.Generator, group: Group, item: SimObject) -> None:
    below, above = group[-1], _standing(rng, item)
    top = below.position_m[2] + half_size(below.item, _rotation(below))[2]
    shift = [*rng.normal(0, 0.15, 2) * below.item.half_extents().min(), top]
    group.append(Placed(item, above.position_m + shift, above.quaternion))


def _outline(placed: Placed) -> Array:
    """(4, 2) corners of an oriented rectangle around the object's shadow."""
    matrix = _rotation(placed).as_matrix()
    reach = (matrix * placed.item.half_extents())[:2]
    longest = reach[:, int(np.argmax(np.linalg.norm(reach, axis=0)))]
    along = longest / max(float(np.linalg.norm(longest)), 1e-9)
    across = np.array([-along[1], along[0]])
    u = np.abs(along @ reach).sum() * along
    v = np.abs(across @ reach).sum() * across
    return np.array([u + v, u - v, -u - v, v - u]) + placed.position_m[:2]


def _turned(group: Group, angle_rad: float) -> Group:
    yaw = _yaw(angle_rad)
    centre = np.mean([part.position_m for part in group], axis=0) * [1, 1, 0]
    return [
        _placed(part.item, yaw.apply(part.position_m - centre), yaw * _rotation(part))
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
        yaw = rng.uniform(0, 2 * np.pi)
        if shared is not None and rng.random() < 0.75:
            yaw = shared + 0.5 * np.pi * rng.integers(4) + rng.normal(0, 0.02)
        group = _turned(groups[index], yaw)
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
        placed.append(_placed(item, np.array([*xy, z]), rotation))
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
            tall = max(p.position_m[2] + half_size(p.item, _rotation(p))[2] for p in turned)
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
