"""A drawn table with many boxes, whose truth is the label map: what clouds are timed on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from repsam_ros.perception.clouds import unproject
from repsam_ros.structures import Instances, Intrinsics, RgbdFrame

_TILT_RAD = 0.8
_DISTANCE_M = 0.8
_PITCH_M = 0.11
_NOISE_M = 1e-3


def crowded_table(
    width: int, height: int, columns: int = 5, rows: int = 4
) -> tuple[RgbdFrame, Instances]:
    """``columns`` x ``rows`` boxes on a table, ray-cast, with a millimetre of noise."""
    camera = Intrinsics(
        0.9 * width, 0.9 * width, 0.5 * (width - 1), 0.5 * (height - 1), width, height
    )
    forward = np.array([0.0, np.cos(_TILT_RAD), -np.sin(_TILT_RAD)])
    right = np.array([1.0, 0.0, 0.0])
    world_from_camera = np.stack([right, np.cross(forward, right), forward], 1)
    rays = unproject(np.ones((height, width), np.float32), camera) @ world_from_camera.T
    position_m = -_DISTANCE_M * forward
    with np.errstate(divide="ignore"):
        depth = np.where(rays[..., 2] < 0, -position_m[2] / rays[..., 2], np.inf)
    labels = np.zeros((height, width), np.uint16)
    for index in range(columns * rows):
        place = np.array([index % columns - (columns - 1) / 2, index // columns - (rows - 1) / 2])
        size_m = np.array([0.06, 0.05, 0.04 + 0.02 * (index % 3)])
        low_m = np.array([*(place * _PITCH_M), 0.0]) - [*size_m[:2] / 2, 0.0]
        entry = _entry(rays, position_m, low_m, low_m + size_m)
        nearer = entry < depth
        depth[nearer], labels[nearer] = entry[nearer], index + 1
    depth[depth > 4] = 0
    noise = np.random.default_rng(0).normal(0, _NOISE_M, depth.shape)
    depth_m = np.where(depth > 0, depth + noise, 0).astype(np.float32)
    color = np.random.default_rng(1).integers(0, 256, (columns * rows + 1, 3), np.uint8)[labels]
    scores = np.ones(columns * rows, np.float32)
    points_px = np.zeros((columns * rows, 2), np.float32)
    return RgbdFrame(color, depth_m, camera), Instances(labels, scores, points_px)


def _entry(
    rays: NDArray[np.float64],
    position_m: NDArray[np.float64],
    low_m: NDArray[np.float64],
    high_m: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(H, W) where rays enter a box, infinite where they miss it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        near, far = (low_m - position_m) / rays, (high_m - position_m) / rays
    entry = np.minimum(near, far).max(axis=-1)
    return np.where(entry <= np.maximum(near, far).min(axis=-1), entry, np.inf)
