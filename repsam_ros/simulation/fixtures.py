"""What holds objects and is none: open bins and shelves, as boxes along the world's axes.

Fixtures are (F, 6) half sizes and centres, metres, on the table top at z = 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BOARD_M = 0.008


def open_bin(rng: np.random.Generator) -> tuple[Array, Array]:
    """Floor and walls; lower and upper corner of the room inside, (2, 3)."""
    length, width, height = rng.uniform([0.26, 0.2, 0.05], [0.48, 0.36, 0.17])
    thick = 0.5 * BOARD_M
    x, y, z = 0.5 * length, 0.5 * width, 0.5 * height
    fixtures = [(x, y, 0.25 * thick, 0.0, 0.0, 0.25 * thick)]
    fixtures += [(thick, y + 2 * thick, z, side * (x + thick), 0.0, z) for side in (-1, 1)]
    fixtures += [(x, thick, z, 0.0, side * (y + thick), z) for side in (-1, 1)]
    return np.array(fixtures), np.array([[-x, -y, 0.5 * thick], [x, y, height]])


def shelf(rng: np.random.Generator) -> tuple[Array, Array]:
    """Boards; lower and upper corner of each compartment, (C, 2, 3). The -y side is open."""
    levels = int(rng.integers(1, 3))
    x, y = 0.5 * rng.uniform(0.35, 0.7), 0.5 * rng.uniform(0.22, 0.36)
    height, thick = rng.uniform(0.2, 0.36), rng.uniform(0.006, 0.012)
    pitch = height + 2 * thick
    z = 0.5 * levels * pitch + thick
    fixtures = [(x, y, thick, 0.0, 0.0, thick + level * pitch) for level in range(levels + 1)]
    fixtures += [(thick, y, z, side * (x + thick), 0.0, z) for side in (-1, 1)]
    fixtures.append((x + 2 * thick, thick, z, 0.0, y + thick, z))
    rooms = [
        [(-x, -y, 2 * thick + level * pitch), (x, y, (level + 1) * pitch)]
        for level in range(levels)
    ]
    return np.array(fixtures), np.array(rooms)
