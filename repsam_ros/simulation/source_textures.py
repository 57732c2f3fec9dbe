"""Procedural textures of no particular domain, which fill the shapes of source pictures."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.simulation.textures import TEXTURE_PX

Texture = NDArray[np.float32]


def _colours(rng: np.random.Generator, count: int) -> Texture:
    """(count, 3) colours as in photographs: wide in lightness, mostly dull, now and then strong."""
    light = rng.beta(1.2, 1.4, (count, 1))
    chroma = rng.laplace(0, 1, (count, 2)) * (0.02 + 0.2 * rng.random() ** 2)
    opponent = np.array([[0.45, 0.3, -0.75], [0.6, -0.5, 0.1]])  # yellow-blue, red-green
    warmth = rng.normal(0.02, 0.05) * np.array([1, 0.2, -1.2])
    return np.asarray(np.clip(light + chroma @ opponent + warmth, 0, 1), np.float32)


def _ramp(colours: Texture, amount: Texture) -> Texture:
    """Colours along a polyline through colour space; ``amount`` in [0, 1]."""
    stops = np.linspace(0, 1, len(colours))
    channels = [np.interp(amount, stops, colours[:, channel]) for channel in range(3)]
    return np.stack(channels, -1).astype(np.float32)


def _frequencies() -> tuple[Texture, Texture]:
    """Radius (cycles a texture) and direction of the frequencies of a real Fourier transform."""
    y = np.fft.fftfreq(TEXTURE_PX, 1 / TEXTURE_PX)[:, None]
    x = np.fft.rfftfreq(TEXTURE_PX, 1 / TEXTURE_PX)[None]
    return np.hypot(x, y).astype(np.float32), np.arctan2(y, x).astype(np.float32)


_RADIUS, _DIRECTION = _frequencies()
_Y, _X = (axis.astype(np.float32) for axis in np.mgrid[:TEXTURE_PX, :TEXTURE_PX])


def _filtered(rng: np.random.Generator, gain: Texture, channels: int = 1) -> Texture:
    """(channels, size, size) Gaussian noise of unit variance with this spectrum; it tiles."""
    white = rng.standard_normal((channels, TEXTURE_PX, TEXTURE_PX), dtype=np.float32)
    noise = np.fft.irfft2(np.fft.rfft2(white) * gain, s=white.shape[1:])
    deviation = noise.std(axis=(1, 2), keepdims=True)
    return np.asarray(noise / np.maximum(deviation, 1e-6), np.float32)


def _falling(rng: np.random.Generator, low: float, high: float) -> Texture:
    """A power-law amplitude spectrum without the mean; 1 is that of natural images."""
    exponent = rng.uniform(low, high)
    return np.asarray(np.where(_RADIUS > 0, np.maximum(_RADIUS, 1) ** -exponent, 0), np.float32)


def _power_law(rng: np.random.Generator) -> Texture:
    noise = _filtered(rng, _falling(rng, 0.5, 2.0), 3).transpose(1, 2, 0)
    contrast = np.exp(rng.uniform(np.log(0.04), np.log(0.3)))
    mixed = noise[..., :1] + noise[..., 1:] @ rng.normal(0, 0.35, (2, 3)).astype(np.float32)
    return np.asarray(_colours(rng, 1) + contrast * mixed, np.float32)


def _marbled(rng: np.random.Generator) -> Texture:
    """Contour lines of smooth noise."""
    noise = _filtered(rng, _falling(rng, 1.3, 2.5))[0]
    waves = 0.5 + 0.5 * np.sin(noise * rng.uniform(1, 9) + rng.uniform(0, 6))
    return _ramp(_colours(rng, int(rng.integers(2, 5))), waves)


def _wavelets(rng: np.random.Generator) -> Texture:
    """Noise of one octave band, oriented or not: grain, ripples, fur."""
    centre = np.exp(rng.uniform(np.log(3), np.log(40)))
    band = np.exp(-0.5 * (np.log(np.maximum(_RADIUS, 0.5) / centre) / rng.uniform(0.15, 0.6)) ** 2)
    if rng.random() < 0.7:
        turned = np.abs(np.sin(_DIRECTION - rng.uniform(0, np.pi)))
        band = band * np.exp(-0.5 * (turned / rng.uniform(0.08, 0.6)) ** 2)
    noise = _filtered(rng, np.asarray(band, np.float32))[0]
    edge = np.exp(rng.uniform(np.log(0.4), np.log(6)))
    return _ramp(_colours(rng, int(rng.integers(2, 4))), 0.5 + 0.5 * np.tanh(noise * edge))


def _patches(rng: np.random.Generator) -> Texture:
    """Flat patches with natural outlines."""
    noise = _filtered(rng, _falling(rng, 1.2, 2.2))[0]
    levels = int(rng.integers(2, 6))
    step = np.clip((0.5 + noise / 4) * levels, 0, levels - 1).astype(np.int64)
    return np.asarray(_colours(rng, levels)[step], np.float32)


def _turned(rng: np.random.Generator) -> tuple[Texture, Texture]:
    """Pixel coordinates in a frame that is turned, and sometimes bent."""
    angle = rng.uniform(0, np.pi)
    x = _X * np.cos(angle) + _Y * np.sin(angle)
    y = _Y * np.cos(angle) - _X * np.sin(angle)
    if rng.random() < 0.5:
        bend = _filtered(rng, _falling(rng, 2.0, 3.0), 2) * rng.uniform(0, 5)
        x, y = x + bend[0], y + bend[1]
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def _gratings(rng: np.random.Generator) -> Texture:
    x, y = _turned(rng)
    wave = np.sin(x * (2 * np.pi / np.exp(rng.uniform(np.log(4), np.log(48)))))
    if rng.random() < 0.3:
        wave = 0.5 * (wave + np.sin(y * (2 * np.pi / rng.uniform(4, 40))))
    hardness = np.exp(rng.uniform(0, 3))
    amount = 0.5 + 0.5 * np.tanh(hardness * (wave - rng.uniform(-0.5, 0.5)))
    return _ramp(_colours(rng, int(rng.integers(2, 4))), amount)


def _tiles(rng: np.random.Generator) -> Texture:
    """Checks, bricks and mosaics."""
    x, y = _turned(rng)
    height = rng.uniform(6, 40)
    row = np.floor(y / height).astype(np.int64)
    column = np.floor(x / (height * rng.uniform(0.5, 2.5)) + rng.choice([0, 0.5]) * (row % 2))
    colours = _colours(rng, int(rng.integers(2, 7)))
    pick = column.astype(np.int64) + row
    if rng.random() < 0.5:
        pick = column.astype(np.int64) * 7919 + row * 104729 + row * column.astype(np.int64) * 31
    return np.asarray(colours[pick % len(colours)], np.float32)


def _cells(rng: np.random.Generator) -> Texture:
    """Voronoi cells: pebbles, scales, crackle."""
    seeds = np.ones((TEXTURE_PX, TEXTURE_PX), np.uint8)
    count = int(rng.integers(12, 160))
    seeds[tuple(rng.integers(0, TEXTURE_PX, (2, count)))] = 0
    distance, label = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    spacing = TEXTURE_PX / np.sqrt(count)
    shade = 1 - rng.uniform(0, 0.8) * np.clip(distance / spacing, 0, 1) ** 2
    colours = _colours(rng, int(rng.integers(1, 8)))
    return np.asarray(colours[label % len(colours)] * shade[..., None], np.float32)


def _dots(rng: np.random.Generator) -> Texture:
    x, y = _turned(rng)
    step = rng.uniform(6, 30)
    away = np.hypot(x % step - step / 2, y % step - step / 2)
    amount = np.clip(step * rng.uniform(0.15, 0.45) - away + 0.5, 0, 1)
    return _ramp(_colours(rng, 2), amount)


def _shaded(rng: np.random.Generator) -> Texture:
    x, y = _turned(rng)
    away = np.hypot(_X - rng.uniform(0, TEXTURE_PX), _Y - rng.uniform(0, TEXTURE_PX))
    slope = x if rng.random() < 0.5 else away
    amount = (slope - slope.min()) / max(float(np.ptp(slope)), 1e-6)
    return _ramp(_colours(rng, int(rng.integers(2, 4))), np.asarray(amount, np.float32))


def _flat(rng: np.random.Generator) -> Texture:
    grain = _filtered(rng, _falling(rng, 0.0, 2.0))[0][..., None]
    return np.asarray(_colours(rng, 1) + rng.uniform(0, 0.02) * grain, np.float32)


def _leaves(rng: np.random.Generator) -> Texture:
    """Small leaves on leaves: a pattern of shapes that are no instances of their own."""
    colours = (_colours(rng, 8) * 255).tolist()
    image = np.empty((TEXTURE_PX, TEXTURE_PX, 3), np.uint8)
    image[:] = colours[0]
    count = int(rng.integers(30, 160))
    radii = 3 / np.sqrt(rng.uniform(0.01, 1, count))
    for radius, place in zip(radii, rng.integers(0, TEXTURE_PX, (count, 2)), strict=True):
        corners = int(rng.choice([3, 4, 5, 24]))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        outline = place + radius * np.stack([np.cos(angles), np.sin(angles)], -1)
        colour = colours[int(rng.integers(8))]
        cv2.fillPoly(image, [np.round(outline * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)
    return np.asarray(image / 255, np.float32)


def _script(rng: np.random.Generator) -> Texture:
    """Rows of strokes that look like writing of no alphabet."""
    paper, ink = (_colours(rng, 2) * 255).tolist()
    image = np.empty((TEXTURE_PX, TEXTURE_PX, 3), np.uint8)
    image[:] = paper
    height = float(np.exp(rng.uniform(np.log(5), np.log(40))))
    width = 1 + int(height * rng.uniform(0.02, 0.18))
    for top in np.arange(rng.uniform(0, height), TEXTURE_PX, height * rng.uniform(1.3, 2.2)):
        for left in np.arange(0, TEXTURE_PX, height * 0.8):
            if rng.random() < 0.85:
                strokes = rng.integers(0, 3, (4, 2)) * (height * 0.3, height * 0.5) + (left, top)
                line = np.round(strokes * 16).astype(np.int32)
                cv2.polylines(image, [line], False, ink, width, cv2.LINE_AA, 4)
    return np.asarray(image / 255, np.float32)


def _composite(rng: np.random.Generator) -> Texture:
    first, second = (_MAKERS[int(i)](rng) for i in rng.integers(len(_MAKERS) - 1, size=2))
    noise = _filtered(rng, _falling(rng, 1.0, 2.5))[0]
    share = np.clip(0.5 + noise * np.exp(rng.uniform(-1, 3)), 0, 1)[..., None]
    return np.asarray(first * (1 - share) + second * share, np.float32)


_MAKERS: tuple[Callable[[np.random.Generator], Texture], ...] = (
    *(_power_law, _flat, _wavelets, _shaded, _patches, _power_law, _gratings, _marbled),
    *(_cells, _leaves, _tiles, _flat, _dots, _script, _power_law, _wavelets),
    _composite,  # last: it mixes the others
)


def source_texture(seed: int, index: int) -> NDArray[np.uint8]:
    """Texture ``index`` of :func:`source_atlas`."""
    rng = np.random.default_rng([seed, index])
    image = _MAKERS[index % len(_MAKERS)](rng)
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def source_atlas(seed: int, count: int) -> NDArray[np.uint8]:
    """(count, TEXTURE_PX, TEXTURE_PX, 3) uint8 RGB textures; the same seed gives the same bytes."""
    return np.stack([source_texture(seed, index) for index in range(count)])
