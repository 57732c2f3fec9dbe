"""Views with one thing changed: poses, what is there, the camera, glass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from repsam_ros.simulation.objects import BOX
from repsam_ros.simulation.views import (
    CAPACITY,
    GLASS,
    GLOSS,
    MAX_OBJECTS,
    UNUSED_Z_M,
    View,
    clear_sight,
)

Array = NDArray[np.float64]


def changed(view: View, **arrays: NDArray[np.generic]) -> View:
    """The view with these arrays in place of its own."""
    return replace(view, arrays={**view.arrays, **arrays})


def in_glass(view: View, glass: NDArray[np.bool_]) -> View:
    """The view with those objects (N,) of its scene made of glass, and no others."""
    materials = view.arrays["materials"].copy()
    materials[:MAX_OBJECTS, GLASS] = 0
    for slot, is_glass in zip(view.slots, glass, strict=True):
        if slot >= 0 and is_glass:
            materials[slot, GLASS] = 1
            materials[slot, GLOSS] = 0.5
    return changed(view, materials=materials)


def hidden(view: View, gone: NDArray[np.bool_]) -> View:
    """The view without what belongs to the owners (MATERIAL_COUNT,) that are ``gone``."""
    arrays = {}
    for kind in CAPACITY:
        pose = view.arrays[f"pose_{kind}"].copy()
        pose[gone[view.arrays[f"owner_{kind}"]], 11] = UNUSED_Z_M
        arrays[f"pose_{kind}"] = pose
    return changed(view, **arrays)


def moved(view: View, positions_m: Array, quaternions: Array) -> View:
    """The view with the objects of its scene elsewhere.

    Args:
        view: Of a scene of N objects.
        positions_m: (N, 3) world_from_object translations.
        quaternions: (N, 4) world_from_object rotations, scalar first.
    """
    before = _matrices(view.scene.positions_m, view.scene.quaternions)
    after = _matrices(positions_m, quaternions)
    moves = after @ np.linalg.inv(before)
    poses = {}
    for kind in CAPACITY:
        pose = view.arrays[f"pose_{kind}"].reshape(-1, 3, 4).astype(np.float64)
        for slot, move in zip(view.slots, moves, strict=True):
            mine = view.arrays[f"owner_{kind}"] == slot
            pose[mine] = move[:3, :3] @ pose[mine]
            pose[mine, :, 3] += move[:3, 3]
        poses[f"pose_{kind}"] = pose.reshape(-1, 12).astype(np.float32)
    scene = replace(view.scene, positions_m=positions_m, quaternions=quaternions)
    return replace(changed(view, **poses), scene=scene)


def seen_from(view: View, world_from_camera: Array, intrinsics: Array) -> View:
    """The view of another camera; walls and clutter before it are gone.

    Args:
        view: Any.
        world_from_camera: (3, 4), optical frame.
        intrinsics: (4,) fx fy cx cy.
    """
    seen = changed(
        view,
        camera=world_from_camera.astype(np.float32).reshape(12),
        intrinsics=intrinsics.astype(np.float32),
        **{f"pose_{BOX}": view.arrays[f"pose_{BOX}"].copy()},
    )
    clear_sight(seen.arrays, world_from_camera[:, 3], view.scene.positions_m.mean(axis=0))
    return seen


def with_boxes(
    view: View,
    boxes: list[tuple[Array, Array]],
    material: NDArray[np.float32],
    owner: int,
) -> View:
    """The view with further boxes of one material.

    Args:
        view: With as many free boxes.
        boxes: Half sizes (3,) and (3, 4) world_from_box.
        material: (10,) see ``views``.
        owner: Row of ``materials`` that nothing else has.
    """
    pose, size = view.arrays[f"pose_{BOX}"].copy(), view.arrays[f"size_{BOX}"].copy()
    owners, materials = view.arrays[f"owner_{BOX}"].copy(), view.arrays["materials"].copy()
    free = np.flatnonzero(pose[:, 11] > 0.5 * UNUSED_Z_M)
    for row, (half, world_from_box) in zip(free, boxes, strict=False):
        pose[row], size[row, :3], owners[row] = world_from_box.reshape(12), half, owner
    materials[owner] = material
    names = {f"pose_{BOX}": pose, f"size_{BOX}": size, f"owner_{BOX}": owners}
    return changed(view, materials=materials, **names)


def _matrices(positions_m: Array, quaternions: Array) -> Array:
    """(N, 4, 4) world_from_object."""
    result = np.tile(np.eye(4), (len(positions_m), 1, 1))
    result[:, :3, :3] = Rotation.from_quat(np.roll(quaternions, -1, axis=1)).as_matrix()
    result[:, :3, 3] = positions_m
    return result
