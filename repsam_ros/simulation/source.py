"""Source pictures: an endless stream of textured, occluding shapes with their visible masks.

They stand for a domain that is not robotic, on which a base model is pretrained. The model is
that of dead leaves: shapes with power-law sizes fall on each other, which gives the statistics of
natural images (Lee, Mumford and Huang, "Occlusion models for natural images", IJCV 2001) and
pretrains well (Baradad et al., "Learning to see by looking at noise", NeurIPS 2021). Beyond it,
shapes repeat, carry printed shapes that are no instances, bulge, and throw soft shadows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.simulation.source_painting import (
    BANK_SEED,
    TEXTURES,
    Fill,
    Image,
    Leaf,
    Painting,
    Point,
    Pose,
    Shadow,
)
from repsam_ros.simulation.source_shapes import Outline, draw_outline, turn
from repsam_ros.simulation.textures import TEXTURE_PX

MAX_SHAPES = 20
# Of the picture: what is smaller is no instance that anyone could ask for, what is larger is the
# backdrop of the others.
VISIBLE_SHARE = (0.003, 0.4)
# Outlines that all pictures draw from; each use has its own size, stretch and turn.
_OUTLINES = 4096
_MOST_LEAVES = 70


@dataclass(frozen=True)
class SourcePicture:
    """One picture with truth.

    Attributes:
        color: (H, W, 3) uint8, RGB.
        ids: (H, W) uint8, visible instance ids 1..MAX_SHAPES, 0 = everything else.
        ignore: (H, W) bool, shapes without an id because they are small or too many. What is
            neither is backdrop. A network that is prompted on instances alone may take them for
            background; one that finds instances by itself must not be punished there.
    """

    color: Image
    ids: NDArray[np.uint8]
    ignore: NDArray[np.bool_]


@dataclass(frozen=True)
class _Style:
    """What the leaves of one picture have in common."""

    textures: NDArray[np.int64]
    radii_px: NDArray[np.float64]
    repeats: float
    bulges: float
    softness_px: int
    shadow: Shadow | None
    clusters: Point | None
    haze_after: int


@lru_cache(maxsize=_OUTLINES)
def _outline(index: int) -> Outline:
    return draw_outline(np.random.default_rng([BANK_SEED, index]))


def _radii(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """Power-law radii, as many as cover the picture a few times, often the large ones first."""
    exponent = rng.uniform(1.5, 3.0)
    low, high = height * np.exp(rng.uniform(np.log([0.03, 0.25]), np.log([0.11, 0.5])))
    ends = np.array([low, high]) ** (1 - exponent)
    radii = (ends[0] + rng.random(_MOST_LEAVES) * (ends[1] - ends[0])) ** (1 / (1 - exponent))
    cover = np.exp(rng.uniform(np.log(0.3), np.log(3.0))) * height * width
    number = max(3, int(np.searchsorted(np.cumsum(2 * radii**2), cover)))
    radii = radii[:number]
    if rng.random() < 0.5:
        radii = radii[np.argsort(-radii * np.exp(rng.normal(0, 0.3, len(radii))))]
    return np.asarray(radii, np.float64)


def _style(rng: np.random.Generator, height: int, width: int) -> _Style:
    radii = _radii(rng, height, width)
    clustered = rng.random() < 0.3
    shadow = Shadow(rng.uniform(0.2, 0.8), rng.uniform(-0.25, 0.25, 2))
    return _Style(
        textures=rng.integers(0, TEXTURES, int(rng.integers(4, 60))),
        radii_px=radii,
        repeats=rng.uniform(0, 0.7) * (rng.random() < 0.6),
        bulges=rng.uniform(0, 1),
        softness_px=int(rng.integers(2, 5)) if rng.random() < 0.3 else 0,
        shadow=shadow if rng.random() < 0.6 else None,
        clusters=rng.random((int(rng.integers(1, 4)), 2)) if clustered else None,
        haze_after=int(rng.integers(len(radii))) if rng.random() < 0.2 else -1,
    )


def _draw_fill(rng: np.random.Generator, style: _Style) -> Fill:
    gain, saturation = np.exp(rng.normal(0, 0.25)), rng.uniform(0.2, 1.2)
    recolour = np.zeros((3, 4))
    recolour[:, :3] = saturation * np.eye(3) + (1 - saturation) / 3
    if rng.random() < 0.3:
        recolour = recolour[rng.permutation(3)]
    recolour *= gain
    recolour[:, 3] = 128 * (1 - gain) + rng.normal(0, 30) + rng.normal(0, 8, 3)
    texels = np.empty((2, 3))
    texels[:, :2] = turn(rng.uniform(0, 2 * np.pi)) * np.exp(rng.uniform(-1.0, 0.4))
    texels[:, 2] = rng.uniform(0, TEXTURE_PX, 2)
    relief = None
    if rng.random() < style.bulges:
        size = int(rng.integers(2, 4))
        relief = np.exp(rng.normal(0, rng.uniform(0.1, 0.5), (size, size))).astype(np.float32)
    texture = int(style.textures[int(rng.integers(len(style.textures)))])
    return Fill(texture, texels, recolour, relief)


def _draw_leaf(rng: np.random.Generator, style: _Style, radius_px: float, nests: bool) -> Leaf:
    prints: list[tuple[Point, Leaf]] = []
    if nests and radius_px > 12 and rng.random() < 0.35:
        for _ in range(int(rng.integers(1, 4))):
            inner = _draw_leaf(rng, style, radius_px * rng.uniform(0.15, 0.6), False)
            prints.append((rng.uniform(-0.6, 0.6, 2) * radius_px, inner))
    softness = style.softness_px if rng.random() < 0.5 else 0
    fill = _draw_fill(rng, style)
    outline = _outline(int(rng.integers(_OUTLINES)))
    stretch = float(np.exp(rng.normal(0, 0.35)))
    shape = turn(rng.uniform(0, 2 * np.pi)) * (radius_px * stretch, radius_px / stretch)
    return Leaf(outline, shape, radius_px, fill, softness, tuple(prints))


def _truth(owner: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Ids of the largest shapes of a usable size, and what is left of the others."""
    share = np.bincount(owner.ravel(), minlength=256) / owner.size
    backdrop = share > VISIBLE_SHARE[1]
    backdrop[0] = True
    usable = (share >= VISIBLE_SHARE[0]) & ~backdrop
    kept = np.argsort(np.where(usable, -share, 0), kind="stable")[:MAX_SHAPES]
    kept = kept[usable[kept]]
    names = np.zeros(256, np.uint8)
    names[kept] = np.arange(1, len(kept) + 1)
    return names[owner], (~backdrop & (names == 0))[owner]


def source_picture(seed: tuple[int, ...], size: tuple[int, int]) -> SourcePicture:
    """The picture of ``seed`` at (height, width) ``size``; the same seed gives the same bytes."""
    rng = np.random.default_rng(seed)
    height, width = size
    style = _style(rng, height, width)
    painting = Painting(_draw_fill(rng, style), style.shadow, size)
    leaves: list[Leaf] = []
    for number, radius in enumerate(style.radii_px):
        if number == style.haze_after:
            painting.color = np.asarray(cv2.GaussianBlur(painting.color, (0, 0), 1.5), np.uint8)
        place = rng.random(2)
        if style.clusters is not None:
            centre = style.clusters[int(rng.integers(len(style.clusters)))]
            place = centre + rng.normal(0, 0.15, 2)
        if leaves and rng.random() < style.repeats:
            leaf = leaves[int(rng.integers(len(leaves)))]
        else:
            leaf = _draw_leaf(rng, style, float(radius), True)
            leaves.append(leaf)
        pose = Pose(place * (width, height), turn(rng.uniform(0, 2 * np.pi)))
        painting.put(leaf, number + 1, pose)
    return SourcePicture(painting.color, *_truth(painting.owner))
