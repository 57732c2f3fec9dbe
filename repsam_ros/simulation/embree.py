"""Ray casting on the CPU with Intel's Embree, through ``embreex``.

The library behind Open3D's ``RaycastingScene`` too, in a wheel of 15 MB that needs no other.
Analytic surfaces are cut into triangles here; what a ray has hit is then read off the surface
itself, so normals and textures stay smooth and only the distance is that of the triangle.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repsam_ros.errors import BackendError
from repsam_ros.simulation.objects import BOX, CONE, ELLIPSOID, RING
from repsam_ros.simulation.raycast import FAR_M, NEAR_M, Hits
from repsam_ros.simulation.views import CAPACITY, MESH, UNUSED_Z_M, View

# 64 sides keep a can of 5 cm radius within 0.06 mm of round.
SIDES = 64
ELLIPSOID_RINGS = 32

Corners = NDArray[np.float32]


def _strip(rows: int, columns: int) -> NDArray[np.int64]:
    """Triangles (T, 3) between the rows of a grid that closes on itself along its columns."""
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    a, b = row * columns + column, row * columns + (column + 1) % columns
    c, d = a + columns, b + columns
    return np.concatenate([np.stack([a, b, d], -1), np.stack([a, d, c], -1)]).reshape(-1, 3)


@lru_cache(maxsize=1)
def _grids() -> dict[int, tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """(V, 3) parameters and (T, 3) triangles of each kind: what `_corners` bends into shape."""
    angle = np.arange(SIDES) * (2 * np.pi / SIDES)
    circle = np.stack([np.cos(angle), np.sin(angle)], -1)
    two_rings = np.concatenate(
        [np.column_stack([circle, np.full(SIDES, end)]) for end in (0.0, 1.0)]
    )
    polar = np.linspace(0, np.pi, ELLIPSOID_RINGS + 1)
    sphere = np.concatenate(
        [np.column_stack([np.sin(p) * circle, np.full(SIDES, np.cos(p))]) for p in polar]
    )
    cube = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    sides = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    strip = _strip(2, SIDES)
    return {
        BOX: (cube, sides),
        ELLIPSOID: (sphere, _strip(ELLIPSOID_RINGS + 1, SIDES)),
        CONE: (two_rings, strip),
        RING: (two_rings, strip),
    }


def _vertices(kind: int, grid: NDArray[np.float64], size: NDArray[np.float32]) -> Corners:
    """(P, V, 3) vertices in the surface frames of P surfaces of (P, 4) ``size``."""
    if kind in (BOX, ELLIPSOID):
        return np.asarray(grid[None] * size[:, None, :3], np.float32)
    end = grid[None, :, 2]
    radius = size[:, 0:1] * (1 - end) + size[:, 1:2] * end
    if kind == CONE:
        z = size[:, 2:3] * (1 - end) + size[:, 3:4] * end
    else:
        z = np.broadcast_to(size[:, 2:3], radius.shape)
    return np.stack([radius * grid[:, 0], radius * grid[:, 1], z], -1).astype(np.float32)


def view_triangles(view: View) -> tuple[Corners, NDArray[np.int64], NDArray[np.int64]]:
    """Triangles of a view in the world frame.

    Returns:
        (T, 3, 3) float32 corners, (T,) rows into the surfaces of all kinds, (T,) owners.
    """
    corners, rows, owners = [], [], []
    start = 0
    for kind, capacity in CAPACITY.items():
        pose = view.arrays[f"pose_{kind}"].reshape(-1, 3, 4)
        used = np.flatnonzero(pose[:, 2, 3] < 0.5 * UNUSED_Z_M)
        owner = view.arrays[f"owner_{kind}"][used]
        if kind == MESH:
            parts = [
                mesh.vertices[mesh.faces] for o in owner for mesh in view.object_in(o).meshes()
            ]
        else:
            grid, triangles = _grids()[kind]
            vertices = _vertices(kind, grid, view.arrays[f"size_{kind}"][used])
            parts = list(vertices[:, triangles])
        for local, row, name in zip(parts, used, owner, strict=True):
            turned = local @ pose[row, :, :3].T + pose[row, :, 3]
            corners.append(np.asarray(turned, np.float32))
            rows.append(np.full(len(local), row + start))
            owners.append(np.full(len(local), name))
        start += capacity
    return np.concatenate(corners), np.concatenate(rows), np.concatenate(owners)


class EmbreeScene:
    """Triangles that rays can be cast at.

    Raises:
        BackendError: embreex is not installed.
    """

    def __init__(self, corners: Corners, rows: NDArray[np.int64]) -> None:
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene as RtScene
        except ImportError as error:
            raise BackendError(
                "rendering on the CPU needs embreex: pip install 'repsam_ros[simulation]'"
            ) from error
        self._rows = rows
        self._scene = RtScene()
        if len(corners):
            TriangleMesh(self._scene, np.ascontiguousarray(corners, np.float32))

    def hits(self, origin: Tensor, direction: Tensor) -> Hits:
        """First hits of (1, 3, N) rays; see :func:`repsam_ros.simulation.raycast.cast`."""
        count = direction.shape[2]
        if not len(self._rows):
            nothing = torch.full((1, count), FAR_M)
            return Hits(nothing, torch.zeros((1, count), dtype=torch.int64))
        way = direction[0].T.numpy()
        start = origin[0].T.numpy() + NEAR_M * way
        found = self._scene.run(
            np.ascontiguousarray(start, np.float32), np.ascontiguousarray(way), output=True
        )
        hit = found["primID"] >= 0
        distance = np.where(hit, found["tfar"] + NEAR_M, FAR_M).astype(np.float32)
        row = self._rows[np.where(hit, found["primID"], 0)]
        normal = torch.from_numpy(np.ascontiguousarray(found["Ng"].T))
        return Hits(torch.from_numpy(distance)[None], torch.from_numpy(row)[None], normal[None])
