"""Cameras: how they are mounted and where they look in a settled scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from repsam_ros.errors import ConfigError
from repsam_ros.simulation.scenes import Scene


@dataclass(frozen=True)
class CameraRig:
    """How a camera is mounted.

    Attributes:
        distance_m: From the scene's centre.
        elevation_deg: Over the table.
        focal: Focal length over image width.
        share: How often, relative to the other rigs.
    """

    distance_m: tuple[float, float]
    elevation_deg: tuple[float, float]
    focal: tuple[float, float] = (0.68, 1.1)
    share: float = 1.0

    def __post_init__(self) -> None:
        for name in ("distance_m", "elevation_deg", "focal"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ConfigError(f"{name}: expected 0 < low <= high, got {low}, {high}")
        if self.elevation_deg[1] >= 90:
            raise ConfigError("elevation_deg: must stay below 90")


def default_rigs() -> dict[str, CameraRig]:
    """A stand before the table, a camera over it, one on a robot's wrist."""
    return {
        "stand": CameraRig((0.6, 1.3), (18.0, 60.0), share=2.0),
        "overhead": CameraRig((0.6, 1.3), (55.0, 87.0)),
        "wrist": CameraRig((0.35, 0.7), (25.0, 85.0)),
    }


def draw_camera(
    rng: np.random.Generator, scene: Scene, rig: CameraRig, size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(3, 4) world_from_camera (optical frame, REP-103) and (fx, fy, cx, cy)."""
    height, width = size
    target = scene.positions_m.mean(axis=0) + rng.normal(0, 0.04, 3)
    distance = np.exp(rng.uniform(*np.log(rig.distance_m)))
    elevation = np.deg2rad(rng.uniform(*rig.elevation_deg))
    azimuth = rng.uniform(0, 2 * np.pi)
    if scene.kind == "shelf":  # open towards -y only
        azimuth = -0.5 * np.pi + rng.uniform(-0.6, 0.6)
        elevation = np.deg2rad(rng.uniform(2, 35))
    elif scene.kind == "bin":  # its walls hide everything from below
        elevation = max(elevation, np.deg2rad(rng.uniform(40, 60)))
    offset = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
    position = target + distance * offset
    position[2] = max(position[2], 0.15)
    forward = target - position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    roll = rng.uniform(-np.pi, np.pi) if rng.random() < 0.08 else rng.normal(0, 0.06)
    rotation = np.column_stack([right, down, forward]) @ Rotation.from_euler("z", roll).as_matrix()
    focal = width * np.exp(rng.uniform(*np.log(rig.focal)))
    shift = rng.normal(0, 0.04, 2) * width
    intrinsics = np.array([focal, focal, 0.5 * width + shift[0], 0.5 * height + shift[1]])
    return np.column_stack([rotation, position]), intrinsics
