"""A seeded atlas of procedural surface textures: labels, wood, fabric, noise, stripes, plain."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

TEXTURE_PX = 128


def _noise(rng: np.random.Generator, cells_x: int, cells_y: int) -> NDArray[np.float32]:
    grid = rng.random((cells_y, cells_x), dtype=np.float32)
    size = (TEXTURE_PX, TEXTURE_PX)
    return np.asarray(cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC), np.float32)


def _blend(
    rng: np.random.Generator, amount: NDArray[np.float32], spread: float
) -> NDArray[np.float32]:
    first = rng.random(3, dtype=np.float32)
    second = np.clip(first + rng.normal(0, spread, 3), 0, 1)
    amount = np.clip(amount, 0, 1)[..., None]
    return np.asarray(first * (1 - amount) + second * amount, np.float32)


def _plain(rng: np.random.Generator) -> NDArray[np.float32]:
    return _blend(rng, _noise(rng, 3, 3), 0.05)


def _mottled(rng: np.random.Generator) -> NDArray[np.float32]:
    octaves = sum(_noise(rng, 4 * 2**k, 4 * 2**k) * 0.5**k for k in range(4)) / 1.6
    return _blend(rng, np.asarray(octaves, np.float32), 0.4)


def _wood(rng: np.random.Generator) -> NDArray[np.float32]:
    grain = _noise(rng, 40, 2) * 0.6 + _noise(rng, 100, 3) * 0.4
    base = np.array([0.75, 0.58, 0.4], np.float32) * rng.uniform(0.5, 1.3)
    return np.asarray(np.clip(base * (0.85 + 0.3 * grain[..., None]), 0, 1), np.float32)


def _fabric(rng: np.random.Generator) -> NDArray[np.float32]:
    x = np.arange(TEXTURE_PX) * (2 * np.pi / rng.integers(4, 24))
    weave = 0.5 + 0.25 * (np.sin(x)[:, None] + np.sin(x * rng.uniform(0.5, 2))[None])
    return _blend(rng, weave.astype(np.float32), 0.4)


def _stripes(rng: np.random.Generator) -> NDArray[np.float32]:
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[:TEXTURE_PX, :TEXTURE_PX]
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / rng.uniform(8, 60))
    return _blend(rng, (wave > rng.uniform(-0.6, 0.6)).astype(np.float32), 0.5)


def _checks(rng: np.random.Generator) -> NDArray[np.float32]:
    step = int(rng.integers(6, 40))
    y, x = np.mgrid[:TEXTURE_PX, :TEXTURE_PX] // step
    return _blend(rng, ((x + y) % 2).astype(np.float32), 0.5)


def _label(rng: np.random.Generator) -> NDArray[np.float32]:
    """A printed package: fields of colour, shapes, lines of lettering."""
    image = (np.clip(_blend(rng, _noise(rng, 2, 2), 0.2), 0, 1) * 255).astype(np.uint8)
    for _ in range(int(rng.integers(2, 9))):
        colour = rng.integers(0, 256, 3).tolist()
        a, b = (rng.integers(0, TEXTURE_PX, 2).tolist() for _ in range(2))
        if rng.random() < 0.5:
            cv2.rectangle(image, a, b, colour, -1)
        else:
            axes = rng.integers(6, 50, 2).tolist()
            cv2.ellipse(image, a, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    for _ in range(int(rng.integers(2, 8))):
        text = "".join(rng.choice(list("ABCDEFGHKLMNOPRSTUVXYZaeiounrst0123456789 "), 12))
        place = rng.integers(-20, TEXTURE_PX, 2).tolist()
        scale = float(rng.uniform(0.25, 1.4))
        colour = (rng.integers(0, 256, 3) * (rng.random() < 0.6)).tolist()
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1 + int(scale))
    return np.asarray(image / 255, np.float32)


def texture_atlas(seed: int, count: int) -> NDArray[np.uint8]:
    """(count, TEXTURE_PX, TEXTURE_PX, 3) uint8 RGB textures; the same seed gives the same bytes."""
    makers = (_plain, _mottled, _wood, _fabric, _stripes, _checks, _label, _label, _label)
    textures = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        image = makers[index % len(makers)](rng)
        textures.append((np.clip(image, 0, 1) * 255).astype(np.uint8))
    return np.stack(textures)
