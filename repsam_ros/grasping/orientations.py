"""From where a hand may come: approaches and closing directions to try on one object."""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.grasping.settings import SearchSettings
from repsam_ros.grasping.sight import cross
from repsam_ros.grasping.targets import Target
from repsam_ros.structures import Plane

_OUTLINE_POINTS = 60


class Orientations(NamedTuple):
    """What to try.

    Attributes:
        rotations: (Q, 3, 3) columns x, y, z of the grasp frame.
        pairs: (P, 2) pairs of an orientation and a point of the object.
    """

    rotations: NDArray[np.float64]
    pairs: NDArray[np.intp]


def surface_orientations(
    target: Target, plane: Plane | None, settings: SearchSettings, rejected: Counter[str]
) -> Orientations:
    """Into the surface, straight down and tilted along the view, all turned about the approach."""
    down = None if plane is None else -plane.normal
    fixed = _fixed_approaches(target.view, down, settings)
    into_surface = -target.normals[target.samples]
    own = target.samples
    if down is not None:
        usable = into_surface @ down >= np.cos(settings.max_tilt_rad)
        count = int((~usable).sum()) * settings.rolls * len(settings.depths_m)
        rejected["too_steep"] += count
        into_surface, own = into_surface[usable], own[usable]
    rotations = _rotations(target, np.concatenate((fixed, into_surface)), settings.rolls)
    shared = len(fixed) * settings.rolls
    # Neighbouring samples give much the same hands: they share the fixed orientations.
    every = np.arange(len(target.samples))
    turn, index = np.nonzero((np.arange(shared)[:, None] + every) % settings.samples_sharing == 0)
    pairs = np.concatenate(
        (
            np.stack((turn, target.samples.take(index)), axis=1),
            np.stack((np.arange(shared, len(rotations)), np.repeat(own, settings.rolls)), axis=1),
        )
    )
    return Orientations(rotations, pairs)


def _fixed_approaches(
    view: NDArray[np.float64], down: NDArray[np.float64] | None, settings: SearchSettings
) -> NDArray[np.float64]:
    """(A, 3): down and two tilted towards the view; only the view when down is unknown."""
    if down is None:
        return view[None]
    approaches = [down]
    angle = float(np.arccos(np.clip(down @ view, -1, 1)))
    sideways = view - (view @ down) * down
    length = float(np.linalg.norm(sideways))
    if length > 0.1:
        for share in (0.5, 1.0):
            tilt = min(share * angle, settings.max_tilt_rad)
            approaches.append(np.cos(tilt) * down + np.sin(tilt) * sideways / length)
    return np.array(approaches)


def _rotations(target: Target, approaches: NDArray[np.float64], rolls: int) -> NDArray[np.float64]:
    """(A * rolls, 3, 3) hand orientations; the first closes across the object's narrow side.

    The narrow side is that of the smallest rectangle round the object seen along the approach.
    """
    first, second = perpendicular(approaches)
    step = max(1, len(target.points_m) // _OUTLINE_POINTS)
    outline_mm = ((target.points_m[::step] - target.centroid_m) * 1000).T.astype(np.float32)
    both = np.stack((first, second), axis=1).astype(np.float32)
    flat_mm = np.ascontiguousarray((both @ outline_mm).transpose(0, 2, 1))  # (A, N, 2)
    narrow_rad = np.array([_narrow_side_rad(each_mm) for each_mm in flat_mm])
    turned = narrow_rad[:, None, None] + np.arange(rolls)[:, None] * (np.pi / rolls)
    result = np.empty((len(approaches), rolls, 3, 3))
    cosine, sine = np.cos(turned), np.sin(turned)
    result[..., 0] = sine * first[:, None] - cosine * second[:, None]
    result[..., 1] = cosine * first[:, None] + sine * second[:, None]
    result[..., 2] = approaches[:, None]
    return result.reshape(-1, 3, 3)


def _narrow_side_rad(points_mm: NDArray[np.float32]) -> float:
    """Direction of the shorter side of the smallest rectangle round (N, 2) points."""
    _, (width, height), angle_deg = cv2.minAreaRect(points_mm)
    return math.radians(angle_deg if width <= height else angle_deg + 90)


def random_orientations(
    target: Target, plane: Plane | None, settings: SearchSettings, rng: np.random.Generator
) -> Orientations:
    """Any approach within ``max_tilt_rad`` of down, any roll; without a plane, of the view."""
    down = target.view if plane is None else -plane.normal
    samples = np.repeat(target.samples, settings.rolls)
    cosine = rng.uniform(np.cos(settings.max_tilt_rad), 1, len(samples))
    first, second = perpendicular(down[None])
    around, roll = rng.uniform(0, 2 * np.pi, (2, len(samples), 1))
    sideways = np.cos(around) * first + np.sin(around) * second
    approaches = cosine[:, None] * down + np.sqrt(1 - cosine**2)[:, None] * sideways
    first, second = perpendicular(approaches)
    closing = np.cos(roll) * first + np.sin(roll) * second
    rotations = np.stack((np.cross(closing, approaches), closing, approaches), axis=-1)
    return Orientations(rotations, np.stack((np.arange(len(samples)), samples), axis=1))


def perpendicular(axes: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two (A, 3) unit vectors that are perpendicular to each of (A, 3) axes and to each other."""
    first = cross(axes, np.eye(3)[np.argmin(np.abs(axes), axis=1)])
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return first, cross(axes, first)
