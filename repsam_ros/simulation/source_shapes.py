"""Outlines of the shapes in source pictures, about one unit in radius.

An outline is a list of parts that are painted one over the other; a part is a list of (N, 2)
closed contours, filled by the even-odd rule, so that a second contour makes a hole.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Contour = NDArray[np.float64]
Outline = list[list[Contour]]


def _polar(radius: NDArray[np.float64], angle: NDArray[np.float64]) -> Contour:
    return np.asarray(np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1), np.float64)


def _turns(count: int) -> NDArray[np.float64]:
    return np.asarray(np.arange(count) * (2 * np.pi / count), np.float64)


def _ellipse(rng: np.random.Generator) -> Contour:
    return _polar(np.ones(40), _turns(40))


def _convex(rng: np.random.Generator) -> Contour:
    """Corners on a circle, evenly or not."""
    corners = int(rng.integers(3, 9))
    uneven = np.sort(rng.uniform(0, 2 * np.pi, corners))
    return _polar(np.ones(corners), _turns(corners) if rng.random() < 0.5 else uneven)


def _star(rng: np.random.Generator) -> Contour:
    corners = 2 * int(rng.integers(3, 10))
    radius = np.where(np.arange(corners) % 2, rng.uniform(0.3, 0.85), 1.0)
    return _polar(radius, _turns(corners))


def _concave(rng: np.random.Generator) -> Contour:
    corners = int(rng.integers(5, 14))
    return _polar(rng.uniform(0.35, 1.1, corners), _turns(corners))


def _blob(rng: np.random.Generator) -> Contour:
    """A Fourier series of the radius over the angle."""
    angle, orders = _turns(64), np.arange(1, 9)
    size = rng.normal(0, rng.uniform(0.1, 0.5), 8) / orders ** rng.uniform(0.7, 1.8)
    waves = np.cos(angle[:, None] * orders + rng.uniform(0, 2 * np.pi, 8)) @ size
    return _polar(np.exp(waves), angle)


def _rounded_box(rng: np.random.Generator) -> Contour:
    """A superellipse, from almost a rectangle to almost an ellipse."""
    angle, power = _turns(48) + 0.03, rng.uniform(0.08, 0.7)
    x, y = np.cos(angle), np.sin(angle)
    return np.stack([np.sign(x) * np.abs(x) ** power, np.sign(y) * np.abs(y) ** power], -1)


_SOLID: tuple[Callable[[np.random.Generator], Contour], ...] = (
    *(_ellipse, _convex, _star, _concave, _blob, _rounded_box, _blob, _rounded_box),
)


def _along(path: Contour, half_width: NDArray[np.float64]) -> Contour:
    """The band of this half width along a path."""
    step = np.gradient(path, axis=0)
    normal = np.stack([-step[:, 1], step[:, 0]], -1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    side = normal * half_width[:, None]
    return np.concatenate([path + side, (path - side)[::-1]])


def _strip(rng: np.random.Generator) -> Outline:
    """A thin band along a quadratic Bezier curve, tapered or not."""
    ends = np.array([[-1.3, 0.0], rng.normal(0, 0.8, 2), [1.3, 0.0]])
    t = np.linspace(0, 1, 20)[:, None]
    path = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * ends[1] + t**2 * ends[2]
    taper = np.interp(t[:, 0], [0, 1], rng.uniform(0.2, 1.0, 2))
    return [[_along(path, taper * rng.uniform(0.04, 0.3))]]


def _glyph(rng: np.random.Generator) -> Outline:
    """A letter of no alphabet: thick strokes and arcs that hang together."""
    half_width = np.full(12, rng.uniform(0.08, 0.25))
    t = np.linspace(0, 1, 12)[:, None]
    at, parts = rng.integers(-1, 2, 2).astype(float), []
    for _ in range(int(rng.integers(2, 5))):
        to = rng.integers(-1, 2, 2) * (0.7, 1.0)
        bulge = np.sin(np.pi * t) * rng.normal(0, 0.5, 2) * (rng.random() < 0.4)
        if np.abs(to - at).max() > 0.1:
            parts.append([_along(at + t * (to - at) + bulge, half_width)])
        at = to
    return parts or [[_ellipse(rng)]]


def draw_outline(rng: np.random.Generator) -> Outline:
    """A random outline."""
    kind = rng.random()
    if kind < 0.1:
        return _strip(rng)
    if kind < 0.18:
        return _glyph(rng)
    contour = _SOLID[int(rng.integers(len(_SOLID)))](rng)
    if kind < 0.9:
        return [[contour]]
    other = contour if kind > 0.95 else _SOLID[int(rng.integers(len(_SOLID)))](rng)
    return [[contour, other * rng.uniform(0.3, 0.8)]]


def turn(angle_rad: float) -> NDArray[np.float64]:
    """(2, 2) rotation."""
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cosine, -sine], [sine, cosine]])
