"""Things turned on a lathe: cans, bottles, cups, bowls, glasses, jars, pens, rolls of tape.

Each kind of thing is a ``*_sizes`` function that draws dimensions (metres) and a function that
builds solids from them; heights count from the bottom.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from repsam_ros.simulation.solids import Box, Lathe, Solid, pose_at

Array = NDArray[np.float64]
Points = list[tuple[float, float]]


def _closed(side: Points) -> Lathe:
    """A solid whose side runs through ``side``, bottom to top."""
    return Lathe(np.array([(0.0, side[0][1]), *side, (0.0, side[-1][1])]))


def _hollow(side: Points, wall: float, floor: float) -> Lathe:
    """A vessel of this outside; ``wall`` is measured along the radius, ``floor`` is a height."""
    radii, heights = np.array(side).T
    inside = [(r - wall, z) for r, z in side[::-1] if z > floor + 1e-3]
    lowest = float(np.interp(floor, heights, radii)) - wall
    return Lathe(np.array([(0.0, side[0][1]), *side, *inside, (lowest, floor), (0.0, floor)]))


def can_sizes(rng: np.random.Generator) -> Array:
    """Radius, height; drinks and food cans, rolls, candles."""
    radius = rng.choice([0.026, 0.033, 0.037, 0.043, 0.05]) * rng.uniform(0.92, 1.08)
    return np.array([radius, radius * rng.uniform(1.2, 4.2)])


def tin_sizes(rng: np.random.Generator) -> Array:
    """Radius, height of a flat round tin, a lid or a coaster."""
    radius = np.exp(rng.uniform(np.log(0.018), np.log(0.1)))
    return np.array([radius, np.clip(radius * rng.uniform(0.15, 1.0), 0.006, 0.08)])


def can(d: Array) -> list[Solid]:
    """A cylinder."""
    return [_closed([(d[0], 0.0), (d[0], d[1])])]


def spray_sizes(rng: np.random.Generator) -> Array:
    """Body radius, body height, cap radius, cap height."""
    radius = rng.uniform(0.017, 0.033)
    height = radius * rng.uniform(3.5, 6.0)
    return np.array([radius, height, radius * rng.uniform(0.45, 0.9), height * 0.25])


def spray(d: Array) -> list[Solid]:
    """A can with a domed shoulder and a cap: spray, salt mill, lipstick, nail polish."""
    dome = d[1] + 0.5 * (d[0] - d[2])
    return [_closed([(d[0], 0.0), (d[0], d[1]), (d[2], dome), (d[2], dome + d[3])])]


def bottle_sizes(rng: np.random.Generator) -> Array:
    """Radius, height of body, of shoulder, of neck, neck radius, wall, waist (1 = none)."""
    radius = rng.uniform(0.022, 0.045)
    height = radius * rng.uniform(4.0, 7.5)
    body, shoulder = rng.uniform(0.45, 0.7), rng.uniform(0.08, 0.25)
    neck = np.clip(radius * rng.uniform(0.28, 0.5), 0.008, 0.02)
    shares = np.array([body, shoulder, 1 - body - shoulder])
    waist = rng.uniform(0.82, 0.95) if rng.random() < 0.25 else 1.0
    return np.array([radius, *(height * shares), neck, rng.uniform(0.0018, 0.003), waist])


def _bottle_side(d: Array) -> Points:
    radius, body, shoulder, neck_height, neck, _, waist = d[:7]
    if waist < 1:
        side = [(radius, 0.0), (waist * radius, 0.55 * body), (radius, body)]
    else:
        side = [(radius, 0.0), (radius, body)]
    # A shoulder is round: steep at its foot, flat towards the neck.
    side.append((neck + 0.62 * (radius - neck), body + 0.55 * shoulder))
    top = body + shoulder
    return [*side, (neck, top), (neck, top + neck_height)]


def bottle(d: Array) -> list[Solid]:
    """An open bottle."""
    return [_hollow(_bottle_side(d), d[5], 2 * d[5])]


def capped_bottle(d: Array) -> list[Solid]:
    """A bottle with a cap a little wider than its neck."""
    side = _bottle_side(d)
    neck, top = side[-1]
    low, cap = top - min(0.022, 0.5 * d[3]), neck + 0.002
    return [_closed([*side[:-1], (neck, low), (cap, low + 5e-4), (cap, top)])]


def cup_sizes(rng: np.random.Generator) -> Array:
    """Bottom radius, top radius, height, wall, reach of the handle (0 = none)."""
    top, height = rng.uniform(0.03, 0.05), rng.uniform(0.055, 0.12)
    handle = rng.uniform(0.02, 0.032) if rng.random() < 0.65 else 0.0
    return np.array([top * rng.uniform(0.65, 1.0), top, height, rng.uniform(0.002, 0.004), handle])


def tumbler_sizes(rng: np.random.Generator) -> Array:
    """As of a cup, without a handle: drinking glass, paper cup, yoghurt."""
    top, height = rng.uniform(0.025, 0.045), rng.uniform(0.06, 0.16)
    wall = rng.uniform(0.0015, 0.003)
    return np.array([top * rng.uniform(0.6, 1.0), top, height, wall, 0.0])


def cup(d: Array) -> list[Solid]:
    """A cup, with a handle of three bars on the +x side."""
    bottom, top, height, wall, reach = d[:5]
    parts: list[Solid] = [_hollow([(bottom, 0.0), (top, height)], wall, 1.3 * wall)]
    if reach > 0:
        thick, wide = 0.0035, 0.006
        grip = max(bottom, top) + reach
        for share in (0.22, 0.8):
            start = bottom + share * (top - bottom) - 0.6 * wall
            arm = 0.5 * (grip - start)
            pose = pose_at(start + arm, 0, share * height)
            parts.append(Box((arm, wide, thick), pose))
        half = 0.29 * height + thick
        parts.append(Box((thick, wide, half), pose_at(grip - thick, 0, 0.51 * height)))
    return parts


def bowl_sizes(rng: np.random.Generator) -> Array:
    """Foot radius, rim radius, height, wall."""
    rim = rng.uniform(0.045, 0.11)
    height = rim * rng.uniform(0.45, 0.95)
    return np.array([rim * rng.uniform(0.35, 0.6), rim, height, rng.uniform(0.003, 0.005)])


def bowl(d: Array) -> list[Solid]:
    """A round bowl on a narrow foot."""
    foot, rim, height, wall = d[:4]
    side = [(foot, 0.0), (foot + 0.72 * (rim - foot), 0.4 * height), (rim, height)]
    return [_hollow(side, wall, 1.5 * wall)]


def plate_sizes(rng: np.random.Generator) -> Array:
    """Foot radius, rim radius, height, thickness."""
    rim = rng.uniform(0.05, 0.13)
    thick = rng.uniform(0.003, 0.005)
    return np.array([rim * rng.uniform(0.5, 0.8), rim, thick + rim * rng.uniform(0.08, 0.2), thick])


def plate(d: Array) -> list[Solid]:
    """A plate or saucer."""
    foot, rim, height, thick = d[:4]
    top = [(rim, height - 0.6 * thick), (rim, height), (foot, thick), (0.0, thick)]
    return [Lathe(np.array([(0.0, 0.0), (foot, 0.0), *top]))]


def wine_glass_sizes(rng: np.random.Generator) -> Array:
    """Foot radius, stem radius, stem height, belly radius, rim radius, bowl height, wall."""
    belly = rng.uniform(0.026, 0.045)
    bowl_height = belly * rng.uniform(1.4, 3.0)
    return np.array(
        [
            belly * rng.uniform(0.8, 1.0),
            rng.uniform(0.004, 0.006),
            rng.uniform(0.03, 0.09),
            belly,
            belly * rng.uniform(0.7, 1.05),
            bowl_height,
            rng.uniform(0.0015, 0.0025),
        ]
    )


def wine_glass(d: Array) -> list[Solid]:
    """Foot, stem and bowl in one piece."""
    foot, stem, stem_height, belly, rim, height, wall = d[:7]
    base = 0.006 + stem_height
    side = [(foot, 0.0), (stem, 0.006), (stem, base)]
    side += [(belly, base + 0.45 * height), (rim, base + height)]
    # The inside is a cone with a flat tip that stays clear of the stem.
    tip = base + 0.12 * height
    return [_hollow(side, wall, tip)]


def jar_sizes(rng: np.random.Generator) -> Array:
    """Body radius, body height, mouth radius, mouth height, wall."""
    radius = rng.uniform(0.028, 0.052)
    mouth = max(radius * rng.uniform(0.7, 0.95), 0.024)
    height = radius * rng.uniform(1.3, 3.0)
    return np.array([radius, height, mouth, rng.uniform(0.012, 0.02), rng.uniform(0.0022, 0.0035)])


def _jar_side(d: Array) -> Points:
    radius, height, mouth, mouth_height = d[:4]
    low = height + max(radius - mouth, 0.002)
    return [(radius, 0.0), (radius, height), (mouth, low), (mouth, low + mouth_height)]


def jar(d: Array) -> list[Solid]:
    """A jar without its lid."""
    return [_hollow(_jar_side(d), d[4], 1.5 * d[4])]


def lidded_jar(d: Array) -> list[Solid]:
    """A jar with its lid on."""
    side = _jar_side(d)
    mouth, top = side[-1]
    return [_closed([*side[:-1], (mouth + 0.003, side[-2][1] + 5e-4), (mouth + 0.003, top)])]


def vase_sizes(rng: np.random.Generator) -> Array:
    """Four radii from bottom to top, height, wall."""
    widest = rng.uniform(0.03, 0.06)
    radii = widest * rng.uniform(0.55, 1.0, 4)
    return np.array([*radii, widest * rng.uniform(2.0, 4.5), rng.uniform(0.003, 0.005)])


def vase(d: Array) -> list[Solid]:
    """A vase of any profile."""
    heights = d[4] * np.array([0.0, 0.35, 0.75, 1.0])
    side = [(float(r), float(z)) for r, z in zip(d[:4], heights, strict=True)]
    return [_hollow(side, d[5], 2 * d[5])]


def rod_sizes(rng: np.random.Generator) -> Array:
    """Radius, length, length of the tip: pen, marker, candle, battery, rolling pin."""
    radius = np.exp(rng.uniform(np.log(0.004), np.log(0.02)))
    length = np.clip(radius * rng.uniform(4, 30), 0.05, 0.28)
    return np.array([radius, length, rng.choice([0.0, 3 * radius])])


def rod(d: Array) -> list[Solid]:
    """A rod along z, pointed or not."""
    radius, length, tip = d[:3]
    side = [(radius, 0.0), (radius, length - tip)]
    return [_closed([*side, (0.25 * radius, length)] if tip > 0 else side)]


def tape_sizes(rng: np.random.Generator) -> Array:
    """Inner radius, outer radius, width of a roll of tape or a ring."""
    outer = rng.uniform(0.022, 0.065)
    return np.array([outer * rng.uniform(0.5, 0.85), outer, rng.uniform(0.008, 0.05)])


def tape(d: Array) -> list[Solid]:
    """A ring."""
    inner, outer, width = d[:3]
    return [Lathe(np.array([(outer, 0.0), (outer, width), (inner, width), (inner, 0.0)]))]
