"""Box-like things: cartons, books and cards, posts, stepped blocks, open boxes.

Each kind of thing is a ``*_sizes`` function that draws dimensions (metres) and a function that
builds solids from them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from repsam_ros.simulation.solids import Box, Solid, pose_at

Array = NDArray[np.float64]

# Full sizes of packages as shops sell them, and how far real ones differ from these.
CARTONS_M = {
    "cereal": (0.06, 0.17, 0.25),
    "crackers": (0.06, 0.16, 0.20),
    "tea": (0.065, 0.085, 0.14),
    "milk": (0.08, 0.08, 0.20),
    "juice": (0.05, 0.06, 0.12),
    "sugar": (0.04, 0.09, 0.16),
    "pudding": (0.03, 0.09, 0.11),
    "medicine": (0.025, 0.06, 0.11),
    "toothpaste": (0.035, 0.045, 0.18),
    "soap": (0.03, 0.055, 0.085),
    "cigarettes": (0.022, 0.055, 0.085),
    "matches": (0.014, 0.036, 0.053),
    "tissues": (0.08, 0.12, 0.23),
    "phone package": (0.05, 0.09, 0.17),
}
FLAT_M = {
    "paperback": (0.02, 0.12, 0.19),
    "book": (0.03, 0.16, 0.23),
    "notebook": (0.01, 0.15, 0.21),
    "phone": (0.008, 0.072, 0.15),
    "tablet": (0.008, 0.16, 0.24),
    "card pack": (0.016, 0.063, 0.09),
    "card": (0.003, 0.054, 0.086),
    "ruler": (0.003, 0.03, 0.2),
    "chocolate": (0.01, 0.08, 0.16),
    "case": (0.014, 0.135, 0.19),
}


def _like(rng: np.random.Generator, table: dict[str, tuple[float, float, float]]) -> Array:
    sizes = np.array(list(table.values()))[rng.integers(len(table))]
    sizes = sizes * np.exp(rng.normal(0, 0.12, 3) + rng.normal(0, 0.12))
    return np.asarray(0.5 * sizes * min(1.0, 0.3 / sizes.max()))


def carton_sizes(rng: np.random.Generator) -> Array:
    """Half sizes."""
    if rng.random() < 0.6:
        return _like(rng, CARTONS_M)
    sides = np.sort(np.exp(rng.uniform(np.log(0.02), np.log(0.26), 3)))
    sides[2] = min(sides[2], 5.0 * sides[0])
    return np.asarray(0.5 * sides)


def flat_sizes(rng: np.random.Generator) -> Array:
    """Half sizes."""
    return np.maximum(_like(rng, FLAT_M), 0.0015)


def block_sizes(rng: np.random.Generator) -> Array:
    """Half sizes."""
    return 0.5 * rng.uniform(0.025, 0.14) * rng.uniform(0.5, 1.0, 3)


def bar_sizes(rng: np.random.Generator) -> Array:
    """Half sizes of a bar or post; these are the usual occluders."""
    thick = np.exp(rng.uniform(np.log(0.015), np.log(0.06)))
    return 0.5 * np.array([thick, thick * rng.uniform(0.7, 1.4), rng.uniform(0.12, 0.3)])


def box(d: Array) -> list[Solid]:
    """d: half sizes."""
    return [Box((d[0], d[1], d[2]))]


def joined_sizes(rng: np.random.Generator) -> Array:
    """Length, width, height, then thickness and place (0 to 1) of the upright part."""
    length, width = rng.uniform(0.06, 0.18), rng.uniform(0.02, 0.09)
    height = rng.uniform(0.03, 0.13)
    place = rng.choice([0.0, 0.5, rng.random()])
    return np.array([length, width, height, rng.uniform(0.15, 0.5), place, rng.uniform(0.2, 0.5)])


def joined(d: Array) -> list[Solid]:
    """An L, T or stepped block: a foot along x and an upright part on it."""
    length, width, height, share, place, foot = d[:6]
    low, thick = 0.5 * foot * height, 0.5 * share * length
    high = 0.5 * height - low
    x = (place - 0.5) * (length - 2 * thick)
    return [
        Box((0.5 * length, 0.5 * width, low), pose_at(0, 0, low)),
        Box((thick, 0.5 * width, high), pose_at(x, 0, 2 * low + high)),
    ]


def tray_sizes(rng: np.random.Generator) -> Array:
    """Length, width, height, wall of an open box."""
    length, width = rng.uniform(0.08, 0.26), rng.uniform(0.06, 0.18)
    return np.array([length, width, rng.uniform(0.025, 0.11), rng.uniform(0.003, 0.006)])


def tray(d: Array) -> list[Solid]:
    """A floor and four walls."""
    x, y, height, wall = 0.5 * d[0], 0.5 * d[1], d[2], 0.5 * d[3]
    middle = wall + 0.5 * height
    long = [
        Box((x, wall, 0.5 * height - wall), pose_at(0, side * (y - wall), middle))
        for side in (-1, 1)
    ]
    short = [
        Box((wall, y - 2 * wall, 0.5 * height - wall), pose_at(side * (x - wall), 0, middle))
        for side in (-1, 1)
    ]
    return [Box((x, y, wall), pose_at(0, 0, wall)), *long, *short]
