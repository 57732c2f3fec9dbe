"""Tools and food: things put together of a few bars, rods and ellipsoids.

Each kind of thing is a ``*_sizes`` function that draws dimensions (metres) and a function that
builds solids from them, long side along x, lying as it would on a table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from repsam_ros.simulation.solids import Box, Ellipsoid, Lathe, Solid, pose_at

Array = NDArray[np.float64]


def _rod(radius: float, start: float, end: float, tip: float | None = None) -> Lathe:
    """A rod along x from ``start`` to ``end``, of radius ``tip`` at its end."""
    side = [(radius, start), (radius if tip is None else tip, end)]
    profile = np.array([(0.0, start), *side, (0.0, end)])
    return Lathe(profile, pose_at(0, 0, 0, "y", 0.5 * np.pi))


def hammer_sizes(rng: np.random.Generator) -> Array:
    """Handle length and radius, head length and half thickness."""
    length = rng.uniform(0.12, 0.26)
    return np.array(
        [length, rng.uniform(0.008, 0.015), length * rng.uniform(0.25, 0.45), 0.012 + 0.03 * length]
    )


def hammer(d: Array) -> list[Solid]:
    """A handle and a head across its end."""
    length, radius, head, thick = d[:4]
    return [
        _rod(radius, 0, length),
        Box((thick, 0.5 * head, thick), pose_at(length + 0.9 * thick, 0, 0)),
    ]


def screwdriver_sizes(rng: np.random.Generator) -> Array:
    """Grip length and radius, blade length and radius."""
    grip = rng.uniform(0.06, 0.11)
    return np.array([grip, rng.uniform(0.009, 0.016), grip * rng.uniform(0.7, 1.5), 0.0035])


def screwdriver(d: Array) -> list[Solid]:
    """A thick grip and a thin blade: screwdriver, brush, torch."""
    grip, radius, blade, thin = d[:4]
    return [_rod(radius, 0, 0.85 * grip, 0.75 * radius), _rod(thin, 0.8 * grip, grip + blade)]


def spoon_sizes(rng: np.random.Generator) -> Array:
    """Handle length, half width, half thickness; bowl radii."""
    length = rng.uniform(0.1, 0.2)
    width = rng.uniform(0.012, 0.03)
    return np.array([length, 0.005, 0.002, width * rng.uniform(1.2, 1.6), width, 0.006])


def spoon(d: Array) -> list[Solid]:
    """A flat handle and a shallow blob: spoon, brush, spatula."""
    length, wide, thin, *radii = d[:6]
    return [
        Box((0.5 * length, wide, thin), pose_at(0.5 * length, 0, 0)),
        Ellipsoid((radii[0], radii[1], radii[2]), pose_at(length + 0.8 * radii[0], 0, 0)),
    ]


def pliers_sizes(rng: np.random.Generator) -> Array:
    """Handle length, half width, half thickness, opening angle, jaw length."""
    length = rng.uniform(0.08, 0.14)
    return np.array(
        [length, 0.007, rng.uniform(0.004, 0.008), rng.uniform(0.08, 0.35), 0.4 * length]
    )


def pliers(d: Array) -> list[Solid]:
    """Two crossed bars and a joint: pliers, scissors, tongs."""
    length, wide, thick, angle, jaw = d[:5]
    half = 0.5 * (length + jaw)
    middle = 0.5 * (jaw - length)
    parts: list[Solid] = [
        Box(
            (half, wide, thick),
            pose_at(
                middle * np.cos(sign * angle), middle * np.sin(sign * angle), 0, "z", sign * angle
            ),
        )
        for sign in (-1, 1)
    ]
    joint = 1.3 * thick
    side = [(0.0, -joint), (1.6 * wide, -joint), (1.6 * wide, joint), (0.0, joint)]
    return [*parts, Lathe(np.array(side))]


def wrench_sizes(rng: np.random.Generator) -> Array:
    """Bar length, half width, half thickness, half length and half width of the head."""
    length = rng.uniform(0.08, 0.2)
    head = rng.uniform(0.012, 0.025)
    return np.array([length, 0.45 * head, rng.uniform(0.003, 0.008), head, 1.3 * head])


def wrench(d: Array) -> list[Solid]:
    """A bar with a wider head: wrench, remote, brush, key."""
    length, wide, thick, head, head_wide = d[:5]
    return [
        Box((0.5 * length, wide, thick), pose_at(0.5 * length, 0, 0)),
        Box((head, head_wide, 1.2 * thick), pose_at(length + 0.9 * head, 0, 0)),
    ]


def fruit_sizes(rng: np.random.Generator) -> Array:
    """Radii: ball, apple, egg, lemon, potato."""
    radius = np.exp(rng.uniform(np.log(0.014), np.log(0.055)))
    return np.asarray(radius * rng.uniform(0.8, 1.15, 3))


def fruit(d: Array) -> list[Solid]:
    """One ellipsoid."""
    return [Ellipsoid((d[0], d[1], d[2]))]


def pear_sizes(rng: np.random.Generator) -> Array:
    """Radii of belly and top, distance of their centres."""
    belly = rng.uniform(0.022, 0.042)
    top = belly * rng.uniform(0.5, 0.85)
    return np.array([belly, top, belly * rng.uniform(0.7, 1.2)])


def pear(d: Array) -> list[Solid]:
    """Two ellipsoids in a row: pear, avocado, snowman, peanut."""
    belly, top, distance = d[:3]
    return [
        Ellipsoid((belly, belly, belly)),
        Ellipsoid((1.15 * top, top, top), pose_at(distance, 0, 0)),
    ]


def banana_sizes(rng: np.random.Generator) -> Array:
    """Radius, length of a piece, bend between pieces."""
    radius = rng.uniform(0.012, 0.02)
    return np.array([radius, radius * rng.uniform(2.2, 3.2), rng.uniform(0.25, 0.6)])


def banana(d: Array) -> list[Solid]:
    """Three long ellipsoids along an arc in the table's plane."""
    radius, length, bend = d[:3]
    parts: list[Solid] = [Ellipsoid((0.75 * length, radius, radius))]
    for sign in (-1, 1):
        x, y = sign * length * (0.35 + 0.4 * np.cos(bend)), 0.4 * length * np.sin(bend)
        pose = pose_at(x, y, 0, "z", sign * bend)
        parts.append(Ellipsoid((0.65 * length, 0.85 * radius, 0.85 * radius), pose))
    return parts


def bread_sizes(rng: np.random.Generator) -> Array:
    """Radii, height; heap of dough, stone, plush toy."""
    length = rng.uniform(0.05, 0.12)
    return length * np.array([1.0, rng.uniform(0.45, 0.75), rng.uniform(0.3, 0.5), rng.random()])


def bread(d: Array) -> list[Solid]:
    """Four overlapping ellipsoids in a loaf."""
    x, y, z, shift = d[:4]
    parts: list[Solid] = [Ellipsoid((x, y, z))]
    for place, share in ((-0.5, 0.75), (0.0, 0.8), (0.5, 0.7)):
        sideways = 0.3 * y * np.sin(9 * place + shift / x)
        pose = pose_at(place * x, sideways, 0.35 * z)
        parts.append(Ellipsoid((0.45 * x, share * y, share * z), pose))
    return parts
