"""Closed triangle meshes, and a folder of the user's own ones (OBJ, STL, PLY; units metres)."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import DatasetError

logger = logging.getLogger(__name__)

SUFFIXES = (".obj", ".ply", ".stl")
# Longest side of what can stand on a table; outside of it the file is in other units.
SIZE_M = (0.005, 0.6)
THINNEST_M = 5e-4
OTHER_UNITS = {"millimetres": 1e-3, "centimetres": 1e-2, "inches": 0.0254}
MAX_PARTS = 8


@dataclass(frozen=True)
class TriangleMesh:
    """Triangles whose normals point outward, corners counter-clockwise seen from outside.

    Attributes:
        vertices: (V, 3) float32, metres.
        faces: (F, 3) int32, rows of ``vertices``.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]


@dataclass(frozen=True)
class LibraryMesh:
    """A mesh from a file.

    Attributes:
        name: File name.
        sha256: Of the file.
        mesh: Its triangles, the origin moved to the centre of the bounding box.
        hulls: Point sets (V, 3) float32 whose convex hulls stand for it in physics.
        volume_m3: Of the mesh, of its convex hull where it is not closed.
    """

    name: str
    sha256: str
    mesh: TriangleMesh
    hulls: tuple[NDArray[np.float32], ...]
    volume_m3: float


class MeshLibrary:
    """The meshes of a folder, in the order of their names.

    Raises:
        DatasetError: The folder has no mesh, or a file is unreadable, empty or of a size that
            nothing on a table has.
    """

    def __init__(self, folder: Path) -> None:
        paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)
        if not paths:
            raise DatasetError(f"{folder}: no mesh ({', '.join(SUFFIXES)})")
        self.meshes = tuple(read_mesh(path) for path in paths)

    def find(self, name: str, sha256: str) -> LibraryMesh:
        """The mesh of that name and hash.

        Raises:
            DatasetError: There is none, or its file has changed.
        """
        for mesh in self.meshes:
            if mesh.name == name and mesh.sha256 == sha256:
                return mesh
        raise DatasetError(f"mesh {name}: not in the folder, or changed since the scenes were made")


def read_mesh(path: Path) -> LibraryMesh:
    """Reads and checks one file; see :class:`MeshLibrary`."""
    import trimesh

    try:
        data = path.read_bytes()
        loaded: Any = trimesh.load_mesh(path, process=True)
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from error
    # Readers of many formats, each with errors of its own for a broken file.
    except Exception as error:  # noqa: BLE001
        raise DatasetError(f"{path}: not a readable mesh: {error}") from error
    if not isinstance(loaded, trimesh.Trimesh) or len(loaded.faces) == 0:
        raise DatasetError(f"{path}: no triangles")
    if not np.isfinite(loaded.vertices).all():
        raise DatasetError(f"{path}: vertices that are not finite")
    _check_size(path, loaded.extents)
    loaded.apply_translation(-loaded.bounds.mean(axis=0))
    solid = loaded.is_watertight
    if solid and loaded.volume < 0:
        loaded.invert()
    if not solid:
        logger.warning("%s is not watertight: physics uses its convex hull", path)
    mesh = TriangleMesh(loaded.vertices.astype(np.float32), loaded.faces.astype(np.int32))
    volume_m3 = float(loaded.volume if solid else loaded.convex_hull.volume)
    return LibraryMesh(
        path.name, hashlib.sha256(data).hexdigest(), mesh, _hulls(loaded, solid), volume_m3
    )


def _hulls(mesh: Any, solid: bool) -> tuple[NDArray[np.float32], ...]:
    """One hull for each closed piece of a mesh, one in all where the pieces are many or open."""
    pieces = mesh.split(only_watertight=False) if solid else [mesh]
    if len(pieces) > MAX_PARTS:
        pieces = [mesh]
    return tuple(piece.convex_hull.vertices.astype(np.float32) for piece in pieces)


def _check_size(path: Path, extents_m: NDArray[np.float64]) -> None:
    low, high = SIZE_M
    size_m = float(extents_m.max())
    if low <= size_m <= high:
        if extents_m.min() < THINNEST_M:
            raise DatasetError(f"{path}: flat, a solid is needed")
        return
    fitting = [unit for unit, scale in OTHER_UNITS.items() if low <= size_m * scale <= high]
    hint = f"; is it in {' or '.join(fitting)}? Save it in metres" if fitting else ""
    raise DatasetError(
        f"{path}: {size_m:.4g} m across, expected {low} to {high} m (units are metres){hint}"
    )
