"""Which objects trials are made with, as one number that a configuration can fix."""

from __future__ import annotations

import hashlib

import numpy as np

from repsam_ros.errors import ConfigError
from repsam_ros.simulation.objects import FAMILIES, SimObject, sample_object
from repsam_ros.simulation.settling import DRAG, FRICTION
from repsam_ros.trials import scene

_EACH = 16
# Of the module ``scene``.
_CHOICE = ("MATERIALS", "GRASPABLE_M", "LONGEST_M", "RIMMED", "RIM_HEIGHT_M", "RIM_WIDTH_M")
# Shapes are compared to the micrometre and masses to the milligram: the last bits of a float
# may differ from machine to machine.
_DIGITS = 6


def check_objects(expected_sha256: str) -> None:
    """Raises a ConfigError unless the objects are those that a configuration was made for."""
    digest = objects_sha256()
    if digest != expected_sha256:
        raise ConfigError(
            f"objects_sha256: the set of objects has {digest}, the configuration is for "
            f"{expected_sha256}; results with other objects cannot be compared"
        )


def objects_sha256() -> str:
    """Hash of the families, their shares, a sample of each with shape and mass, of what trials
    take of them, and of the friction between objects.

    Changes in how scenes are arranged or pictures are made do not show in it.
    """
    digest = hashlib.sha256()
    digest.update(repr((FRICTION, DRAG)).encode())
    digest.update(repr([getattr(scene, name) for name in _CHOICE]).encode())
    for name, family in FAMILIES.items():
        digest.update(repr((name, family.share, family.is_vessel)).encode())
        rng = np.random.default_rng(0)
        for _ in range(_EACH):
            _add(digest, sample_object(rng, name))
    return digest.hexdigest()


def _add(digest: hashlib._Hash, item: SimObject) -> None:
    arrays = [item.dimensions, np.array([item.mass_kg]), item.half_extents()]
    for part in item.collision_parts(fine=True):
        digest.update(part.kind.encode())
        arrays += [np.array(part.size), part.pose]
        arrays += [] if part.vertices is None else [part.vertices]
    for array in arrays:
        rounded = np.round(np.asarray(array, np.float64), _DIGITS) + 0.0  # no negative zeros
        digest.update(rounded.tobytes())
