"""A procedural family of tabletop objects with exact geometry.

An object is a family name and a vector of dimensions in metres. From these two follow its
*surfaces* (what the ray caster sees, exact) and its *collision geometry* (what physics feels,
approximate where MuJoCo wants convex parts). The object frame has z up and its origin at the
centre of the bounding box.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BOX, ELLIPSOID, CONE, RING = range(4)
DIMENSION_COUNT = 8
LATHE_POINTS = 5


@dataclass(frozen=True)
class Surface:
    """One ray-castable surface in the object frame.

    Attributes:
        kind: ``BOX`` (half sizes x y z), ``ELLIPSOID`` (radii x y z), ``CONE`` (r0 r1 z0 z1, the
            open side of a truncated cone about z) or ``RING`` (inner, outer radius, z).
        size: (4,) meaning depends on ``kind``, metres.
        pose: (3, 4) object_from_surface.
    """

    kind: int
    size: tuple[float, float, float, float]
    pose: NDArray[np.float64] = field(default_factory=lambda: np.eye(4)[:3])


@dataclass(frozen=True)
class CollisionPart:
    """One convex collision part: MuJoCo geom type name, sizes, position and quaternion (wxyz)."""

    kind: str
    size: tuple[float, ...]
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    quaternion: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class SimObject:
    """A family and its dimensions.

    Attributes:
        family: Key of ``FAMILIES``.
        dimensions: (DIMENSION_COUNT,) float32, metres; unused entries are 0.
    """

    family: str
    dimensions: NDArray[np.float32]

    def surfaces(self) -> list[Surface]:
        """Exact surfaces in the object frame."""
        return FAMILIES[self.family].surfaces(self.dimensions.astype(np.float64))

    def collision_parts(self) -> list[CollisionPart]:
        """Convex parts for physics, in the object frame."""
        return FAMILIES[self.family].collision(self.dimensions.astype(np.float64))

    def half_extents(self) -> NDArray[np.float64]:
        """(3,) half size of the object's bounding box in its own frame."""
        return FAMILIES[self.family].extents(self.dimensions.astype(np.float64))


def _dimensions(*values: float) -> NDArray[np.float32]:
    result = np.zeros(DIMENSION_COUNT, np.float32)
    result[: len(values)] = values
    return result


def _translation(x: float, y: float, z: float) -> NDArray[np.float64]:
    pose = np.eye(4)[:3]
    pose[:, 3] = x, y, z
    return pose


# --- boxes -----------------------------------------------------------------------------------


def _sample_box(rng: np.random.Generator) -> NDArray[np.float32]:
    kind = rng.random()
    if kind < 0.45:  # cereal, tea, medicine: three clearly different sides
        sides = np.sort(np.exp(rng.uniform(np.log(0.025), np.log(0.28), 3)))
        sides[2] = min(sides[2], 5.0 * sides[0])
    elif kind < 0.65:  # flat: books, phones, cards
        sides = np.array([rng.uniform(0.006, 0.035), *rng.uniform(0.05, 0.24, 2)])
    elif kind < 0.8:  # bars and posts, the usual occluders
        thick = rng.uniform(0.02, 0.06)
        sides = np.array([thick, thick * rng.uniform(0.8, 1.3), rng.uniform(0.12, 0.32)])
    else:
        sides = rng.uniform(0.03, 0.16, 3)
    return _dimensions(*(0.5 * sides))


def _box_surfaces(d: NDArray[np.float64]) -> list[Surface]:
    return [Surface(BOX, (d[0], d[1], d[2], 0.0))]


def _box_collision(d: NDArray[np.float64]) -> list[CollisionPart]:
    return [CollisionPart("box", (d[0], d[1], d[2]))]


# --- surfaces of revolution --------------------------------------------------------------------
# dimensions: five outer radii from bottom to top, height, wall (0 = solid), handle size (0 = none)


def _sample_lathe(rng: np.random.Generator) -> NDArray[np.float32]:
    kind = rng.choice(7)
    wall = rng.uniform(0.002, 0.005)
    handle = 0.0
    if kind == 0:  # can, roll, jar
        radius, height = rng.uniform(0.02, 0.055), rng.uniform(0.03, 0.26)
        radii, wall = np.full(5, radius), 0.0
    elif kind == 1:  # round tin
        radius, height = rng.uniform(0.05, 0.12), rng.uniform(0.03, 0.09)
        radii, wall = np.full(5, radius), 0.0
    elif kind == 2:  # cup or mug
        radius, height = rng.uniform(0.03, 0.05), rng.uniform(0.06, 0.13)
        radii = radius * np.linspace(rng.uniform(0.65, 1.0), 1.0, 5)
        handle = rng.uniform(0.018, 0.03) if rng.random() < 0.6 else 0.0
    elif kind == 3:  # bowl
        radius, height = rng.uniform(0.05, 0.13), rng.uniform(0.035, 0.1)
        radii = radius * np.array([rng.uniform(0.4, 0.9), 0.72, 0.86, 0.95, 1.0])
        radii = np.maximum.accumulate(radii)
    elif kind == 4:  # plate
        radius, height = rng.uniform(0.06, 0.13), rng.uniform(0.012, 0.03)
        radii = radius * np.array([0.6, 0.7, 0.8, 0.9, 1.0])
    elif kind == 5:  # bottle
        radius, height = rng.uniform(0.025, 0.045), rng.uniform(0.14, 0.3)
        neck = rng.uniform(0.3, 0.55)
        radii, wall = radius * np.array([1.0, 1.0, 1.0, neck, neck]), 0.0
    else:  # wine glass, vase, spray can, cone: any profile
        radius, height = rng.uniform(0.025, 0.06), rng.uniform(0.06, 0.2)
        radii, wall = radius * rng.uniform(0.35, 1.0, 5), 0.0
    return _dimensions(*radii, height, wall, handle)


def _profile(d: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    radii, height = d[:LATHE_POINTS], d[LATHE_POINTS]
    return radii, np.linspace(-0.5 * height, 0.5 * height, LATHE_POINTS)


def _side(radii: NDArray[np.float64], heights: NDArray[np.float64]) -> list[Surface]:
    """Cones between profile points; straight runs become one."""
    keep = [0]
    for i in range(1, len(radii) - 1):
        before = (radii[i] - radii[keep[-1]]) / (heights[i] - heights[keep[-1]])
        after = (radii[i + 1] - radii[i]) / (heights[i + 1] - heights[i])
        if abs(before - after) > 1e-3:
            keep.append(i)
    keep.append(len(radii) - 1)
    return [
        Surface(CONE, (radii[a], radii[b], heights[a], heights[b]))
        for a, b in zip(keep[:-1], keep[1:], strict=True)
    ]


def _lathe_surfaces(d: NDArray[np.float64]) -> list[Surface]:
    radii, heights = _profile(d)
    wall, handle = d[6], d[7]
    surfaces = [Surface(RING, (0.0, radii[0], heights[0], 0.0)), *_side(radii, heights)]
    if wall > 0:
        inner = np.maximum(radii - wall, 1e-3)
        inner_heights = np.concatenate([[heights[0] + wall], heights[1:]])
        surfaces += _side(inner, inner_heights)
        surfaces.append(Surface(RING, (0.0, inner[0], inner_heights[0], 0.0)))
        surfaces.append(Surface(RING, (inner[-1], radii[-1], heights[-1], 0.0)))
    else:
        surfaces.append(Surface(RING, (0.0, radii[-1], heights[-1], 0.0)))
    if handle > 0:
        surfaces += [Surface(BOX, (*size, 0.0), pose) for size, pose in _handle(d)]
    return surfaces


def _handle(
    d: NDArray[np.float64],
) -> list[tuple[tuple[float, float, float], NDArray[np.float64]]]:
    """Two arms and a grip on the +x side: (half sizes, pose) of three boxes."""
    radius, height, reach = d[2], d[5], d[7]
    thick, wide, span = 0.004, 0.007, 0.28 * height
    return [
        ((0.5 * reach, wide, thick), _translation(radius + 0.5 * reach, 0, span)),
        ((0.5 * reach, wide, thick), _translation(radius + 0.5 * reach, 0, -span)),
        ((thick, wide, span + thick), _translation(radius + reach, 0, 0)),
    ]


def _lathe_collision(d: NDArray[np.float64]) -> list[CollisionPart]:
    radii, heights = _profile(d)
    wall, handle = d[6], d[7]
    step = heights[1] - heights[0]
    parts = []
    if wall > 0:
        base = 0.5 * max(wall, 0.003)
        parts.append(CollisionPart("cylinder", (radii[0], base), (0, 0, heights[0] + base)))
        radius = float(radii[1:].mean())
        for angle in np.arange(8) * np.pi / 4:
            parts.append(
                CollisionPart(
                    "box",
                    (max(0.5 * wall, 0.002), radius * np.tan(np.pi / 8), 2 * step),
                    (radius * np.cos(angle), radius * np.sin(angle), 0),
                    (np.cos(0.5 * angle), 0, 0, np.sin(0.5 * angle)),
                )
            )
    else:
        for i in range(LATHE_POINTS - 1):
            radius = 0.5 * (radii[i] + radii[i + 1])
            centre = 0.5 * (heights[i] + heights[i + 1])
            parts.append(CollisionPart("cylinder", (radius, 0.5 * step), (0, 0, centre)))
    if handle > 0:
        parts += [
            CollisionPart("box", size, (pose[0, 3], pose[1, 3], pose[2, 3]))
            for size, pose in _handle(d)
        ]
    return parts


def _lathe_extents(d: NDArray[np.float64]) -> NDArray[np.float64]:
    radius = d[:LATHE_POINTS].max()
    return np.array([radius + d[7], radius, 0.5 * d[5]])


# --- round things, tools -------------------------------------------------------------------------


def _sample_ellipsoid(rng: np.random.Generator) -> NDArray[np.float32]:
    radius = rng.uniform(0.018, 0.065)
    return _dimensions(*(radius * rng.uniform(0.6, 1.25, 3)))


def _sample_tool(rng: np.random.Generator) -> NDArray[np.float32]:
    length, thick = rng.uniform(0.06, 0.13), rng.uniform(0.008, 0.018)
    head = rng.uniform(0.6, 2.2, 3) * thick
    return _dimensions(length, thick, thick * rng.uniform(0.6, 1.0), head[0], 2.0 * head[1], thick)


def _tool_parts(
    d: NDArray[np.float64],
) -> list[tuple[tuple[float, float, float], NDArray[np.float64]]]:
    return [
        ((d[0], d[1], d[2]), _translation(-d[3], 0, 0)),
        ((d[3], d[4], d[5]), _translation(d[0], 0, 0)),
    ]


def _tool_surfaces(d: NDArray[np.float64]) -> list[Surface]:
    return [Surface(BOX, (*size, 0.0), pose) for size, pose in _tool_parts(d)]


def _tool_collision(d: NDArray[np.float64]) -> list[CollisionPart]:
    return [
        CollisionPart("box", size, (pose[0, 3], pose[1, 3], pose[2, 3]))
        for size, pose in _tool_parts(d)
    ]


@dataclass(frozen=True)
class Family:
    """How one family is sampled, seen and felt."""

    share: float
    flat_topped: bool
    sample: Callable[[np.random.Generator], NDArray[np.float32]]
    surfaces: Callable[[NDArray[np.float64]], list[Surface]]
    collision: Callable[[NDArray[np.float64]], list[CollisionPart]]
    extents: Callable[[NDArray[np.float64]], NDArray[np.float64]]


FAMILIES: dict[str, Family] = {
    "box": Family(0.52, True, _sample_box, _box_surfaces, _box_collision, lambda d: d[:3].copy()),
    "lathe": Family(0.36, False, _sample_lathe, _lathe_surfaces, _lathe_collision, _lathe_extents),
    "ellipsoid": Family(
        0.07,
        False,
        _sample_ellipsoid,
        lambda d: [Surface(ELLIPSOID, (d[0], d[1], d[2], 0.0))],
        lambda d: [CollisionPart("ellipsoid", (d[0], d[1], d[2]))],
        lambda d: d[:3].copy(),
    ),
    "tool": Family(
        0.05,
        False,
        _sample_tool,
        _tool_surfaces,
        _tool_collision,
        lambda d: np.array([d[0] + d[3], max(d[1], d[4]), max(d[2], d[5])]),
    ),
}
FAMILY_NAMES = tuple(FAMILIES)


def sample_object(rng: np.random.Generator) -> SimObject:
    """A random object of a random family."""
    shares = np.array([family.share for family in FAMILIES.values()])
    name = FAMILY_NAMES[rng.choice(len(FAMILIES), p=shares / shares.sum())]
    return SimObject(name, FAMILIES[name].sample(rng))
