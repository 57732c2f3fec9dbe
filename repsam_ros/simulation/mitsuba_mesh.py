"""Meshes for Mitsuba 3: surfaces of views with the fast renderer's normals and textures."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from repsam_ros.simulation.embree import Corners
from repsam_ros.simulation.raycast import Hits, Surfaces, surface_points
from repsam_ros.simulation.views import CAPACITY, View

Vector = NDArray[np.float64]

# Faces that meet at a smaller angle are shaded as one smooth surface.
CREASE_COS = float(np.cos(np.deg2rad(35)))
# The share of the way from a triangle's centre to its corners at which texture coordinates are
# taken; near the centre, all three lie on the same side of every seam.
NEAR_CENTRE = 0.05


class Shape(NamedTuple):
    """Triangles that share no vertices.

    Attributes:
        corners: (T, 3, 3) world.
        normals: (T, 3, 3) at the corners, unit.
        uv: (T, 3, 2) texture coordinates at the corners.
    """

    corners: Vector
    normals: Vector
    uv: Vector


# A speck inside of every table. Each scene has a mesh for each owner, so that one compiled kernel
# serves them all.
NOTHING = Shape(
    np.array([[[0, 0, -0.01], [1e-5, 0, -0.01], [0, 1e-5, -0.01]]]),
    np.broadcast_to([0.0, 0.0, 1.0], (1, 3, 3)),
    np.zeros((1, 3, 2)),
)


def textured_shape(
    view: View, corners: Corners, rows: NDArray[np.int64], scale: NDArray[np.float32]
) -> Shape:
    """Triangles with normals and texture coordinates as the fast renderer reads them.

    Args:
        view: Whose surfaces they are cut from.
        corners: (T, 3, 3) world.
        rows: (T,) into the surfaces of all kinds.
        scale: (T,) metres of one repeat of the texture, 0 = stretched over a face.
    """
    exact = corners.astype(np.float64)
    centre = exact.mean(axis=1, keepdims=True)
    across = np.cross(exact[:, 1] - exact[:, 0], exact[:, 2] - exact[:, 0])
    normals, _ = _points(view, centre + 0.99 * (exact - centre), rows, across, scale)
    _, middle = _points(view, centre, rows, across, scale)
    _, near = _points(view, centre + NEAR_CENTRE * (exact - centre), rows, across, scale)
    return Shape(exact, normals, middle + (near - middle) / NEAR_CENTRE)


def _points(
    view: View,
    points: Vector,
    rows: NDArray[np.int64],
    normals: Vector,
    scale: NDArray[np.float32],
) -> tuple[Vector, Vector]:
    """Normals (T, K, 3) and texture coordinates (T, K, 2) at ``points`` (T, K, 3) of surfaces."""
    count, each = points.shape[:2]
    where = torch.from_numpy(points.reshape(-1, 3).T.copy())[None]
    row = torch.from_numpy(np.repeat(rows, each))[None]
    normal = torch.from_numpy(np.repeat(normals, each, axis=0).T.copy())[None]
    fields = (
        tuple(torch.from_numpy(view.arrays[f"{name}_{kind}"])[None] for kind in CAPACITY)
        for name in ("pose", "size", "owner")
    )
    pose, size, owner = fields
    surfaces = Surfaces(tuple(p.double() for p in pose), tuple(s.double() for s in size), owner)
    hits = Hits(torch.zeros(row.shape, dtype=torch.float64), row, normal)
    at = surface_points(where, torch.zeros_like(where), hits, surfaces)
    repeat = torch.from_numpy(np.repeat(scale, each))
    uv = torch.where(repeat > 0, at.uv / repeat, at.uv / at.span.clamp(min=1e-4) + 0.5)
    return (
        at.normal[0].T.reshape(count, each, 3).numpy(),
        uv[0].T.reshape(count, each, 2).numpy(),
    )


def smooth_normals(vertices: Vector, faces: NDArray[np.int32]) -> Vector:
    """(F, 3, 3) normals at corners: means, by area, of the faces there but those across creases."""
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    own = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-20)
    order = np.argsort(faces.ravel(), kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(faces.ravel()[order])) + 1)
    normals = np.empty((faces.size, 3))
    for group in groups:
        face = group // 3
        smooth = own[face] @ own[face].T > CREASE_COS
        normals[group] = smooth @ across[face]
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    return normals.reshape(-1, 3, 3)


def build_mesh(mi: Any, shape: Shape, *parts: dict[str, Any]) -> Any:
    """A mesh with its ``parts``: a material and, where it is a lamp, an emitter."""
    properties = mi.Properties()
    for index, part in enumerate(parts):
        properties[f"part_{index}"] = mi.load_dict(part, parallel=False)
    count = len(shape.corners)
    mesh = mi.Mesh(
        "mesh",
        vertex_count=3 * count,
        face_count=count,
        has_vertex_normals=True,
        has_vertex_texcoords=True,
        props=properties,
    )
    arrays = mi.traverse(mesh)
    arrays["vertex_positions"] = shape.corners.reshape(-1).astype(np.float32)
    arrays["vertex_normals"] = shape.normals.reshape(-1).astype(np.float32)
    arrays["vertex_texcoords"] = shape.uv.reshape(-1).astype(np.float32)
    arrays["faces"] = np.arange(3 * count, dtype=np.uint32)
    arrays.update()
    return mesh
