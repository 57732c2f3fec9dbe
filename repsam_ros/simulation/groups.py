"""Objects that stand together: alone, in a row of touching boxes, in a tower, or leaning."""

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
# Quarter turns that put each axis of a box up.
FACES = [
    Rotation.from_euler("y", 0.5 * np.pi),
    Rotation.from_euler("x", 0.5 * np.pi),
    Rotation.identity(),
]


def place(item: SimObject, position_m: Array, rotation: Rotation) -> Placed:
    """``item`` at a world_from_object translation (3,) and rotation."""
    return Placed(item, np.asarray(position_m), np.roll(rotation.as_quat(), 1))


def half_size(item: SimObject, rotation: Rotation) -> Array:
    """(3,) half size of the bounding box along the world's axes."""
    half: Array = np.abs(rotation.as_matrix()) @ item.half_extents()
    return half


def yaw(angle_rad: float) -> Rotation:
    """A turn about the vertical."""
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
        return yaw(rng.uniform(0, 2 * np.pi)) * FACES[1] * yaw(rng.uniform(0, 2 * np.pi))
    if draw < family.lying + family.upside_down:
        return Rotation.from_euler("x", np.pi)
    return Rotation.identity()


def _standing(rng: np.random.Generator, item: SimObject) -> Placed:
    rotation = _stance(rng, item)
    return place(item, np.array([0, 0, half_size(item, rotation)[2] + DROP_M]), rotation)


def row(rng: np.random.Generator, boxes: list[SimObject]) -> Group:
    """Boxes side by side, faces touching, fronts flush or not."""
    group, x = [], 0.0
    flush, shared = rng.random() < 0.6, int(rng.integers(3))
    for item in boxes:
        axis = shared if rng.random() < 0.7 else int(rng.integers(3))
        rotation = yaw(0.5 * np.pi * rng.integers(2) * (rng.random() < 0.3)) * FACES[axis]
        half = half_size(item, rotation)
        if 4 * min(half[:2]) < half[2]:
            rotation = FACES[int(np.argmin(item.half_extents()))]
            half = half_size(item, rotation)
        y = half[1] if flush else rng.normal(0, 0.2) * half[1]
        group.append(place(item, np.array([x + half[0], y, half[2] + DROP_M]), rotation))
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
            rotation = yaw(0.5 * np.pi) * rotation
        rotation = yaw(turn) * rotation
        size = half_size(item, rotation)
        spread = 0.004 if flush else 0.35 * np.minimum(size[:2], carrier)
        shift = rng.normal(0, 1, 2) * spread if group else np.zeros(2)
        if group:
            shift = np.clip(shift, -0.7 * size[:2], 0.7 * size[:2])
            shift = np.clip(shift, -0.7 * carrier, 0.7 * carrier)
        centre = (group[-1].position_m[:2] if group else np.zeros(2)) + shift
        group.append(place(item, np.array([*centre, top + size[2] + DROP_M]), rotation))
        top += 2 * size[2] + DROP_M
        carrier = size[:2]
    return group


def leaning(rng: np.random.Generator, slab: SimObject, support: SimObject) -> Group:
    """A box that leans against another one."""
    stance = FACES[int(np.argsort(support.half_extents())[rng.integers(1, 3)])]
    hold = half_size(support, stance)
    if hold[0] > hold[1]:  # the broad side takes the push
        stance = yaw(0.5 * np.pi) * stance
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
        place(support, np.array([0, 0, hold[2] + DROP_M]), stance),
        place(slab, centre, Rotation.from_matrix(columns)),
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
    matrix = np.abs(below.rotation.as_matrix())
    if matrix[2].max() < 0.999:
        return False
    room = half_size(below.item, below.rotation)[:2]
    return bool(np.all(item.half_extents()[:2] < room))


def _put_on(rng: np.random.Generator, group: Group, item: SimObject) -> None:
    below, above = group[-1], _standing(rng, item)
    top = below.position_m[2] + half_size(below.item, below.rotation)[2]
    centre = below.position_m[:2] + rng.normal(0, 0.15, 2) * below.item.half_extents().min()
    shift = [*centre, top]
    group.append(Placed(item, above.position_m + shift, above.quaternion))
