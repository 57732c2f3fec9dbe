"""The picture that a viewpoint sees of a cloud."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def image_axes(rays: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) columns right, down, forward; they turn with the (N, 3) unit rays."""
    if not len(rays):
        return np.eye(3)
    forward = np.ones(len(rays)) @ rays
    forward /= max(float(np.linalg.norm(forward)), 1e-9)
    outermost = rays[np.argmin(rays @ forward)]
    right = outermost - (outermost @ forward) * forward
    if np.linalg.norm(right) < 1e-6:
        right = np.cross(forward, np.eye(3)[np.argmin(np.abs(forward))])
    right /= np.linalg.norm(right)
    return np.stack((right, cross(forward, right), forward), axis=1)


def lengths_m(vectors_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) lengths of (N, 3) vectors; numpy.linalg.norm takes several times as long."""
    result: NDArray[np.float64] = np.sqrt(np.einsum("nd,nd->n", vectors_m, vectors_m))
    return result


def cross(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross products of (..., 3) vectors; numpy.cross takes several times as long for a few."""
    a, b, c = first[..., 0], first[..., 1], first[..., 2]
    d, e, f = second[..., 0], second[..., 1], second[..., 2]
    return np.stack((b * f - c * e, c * d - a * f, a * e - b * d), axis=-1)
