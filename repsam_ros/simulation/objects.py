"""Objects of simulated tabletop scenes: a procedural family of families, and users' meshes.

An object is a family name and a vector of dimensions in metres, or a mesh from a library. From
these follow its exact *surfaces*, its closed *meshes* and its *collision geometry*. The object
frame has z up as the object usually stands, and its origin at the centre of the bounding box.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from repsam_ros.simulation import boxes, lathe, tools
from repsam_ros.simulation.meshes import LibraryMesh, TriangleMesh
from repsam_ros.simulation.solids import (
    BOX,
    CONE,
    ELLIPSOID,
    RING,
    CollisionPart,
    Solid,
    Surface,
)

__all__ = [
    "BOX",
    "CONE",
    "ELLIPSOID",
    "FAMILIES",
    "FAMILY_NAMES",
    "MESH",
    "RING",
    "CollisionPart",
    "Family",
    "SimObject",
    "Surface",
    "mesh_object",
    "sample_object",
]

DIMENSION_COUNT = 8
MESH = "mesh"


@dataclass(frozen=True)
class Family:
    """How one family is sampled, built and put down.

    Attributes:
        share: Relative frequency.
        sizes: Draws dimensions, metres.
        build: Solids from dimensions.
        density: Range, kg/m^3 of the solids' volume.
        is_box: One box: may stand on any face and carry others.
        is_vessel: Hollow and open: may be made of glass.
        lying: Probability to lie on its side, for what else stands along z.
        upside_down: Probability to stand on its top.
    """

    share: float
    sizes: Callable[[np.random.Generator], NDArray[np.float64]]
    build: Callable[[NDArray[np.float64]], list[Solid]]
    density: tuple[float, float]
    is_box: bool = False
    is_vessel: bool = False
    lying: float = 0.0
    upside_down: float = 0.0


_PAPER, _HOLLOW, _CLAY, _FOOD, _TOOL = (
    (150.0, 700.0),
    (1000.0, 2500.0),
    (1800.0, 2500.0),
    (500.0, 1000.0),
    (800.0, 3000.0),
)
# Boxes are about half of all, as on the tables of OSD and OCID.
FAMILIES: dict[str, Family] = {
    "carton": Family(0.33, boxes.carton_sizes, boxes.box, _PAPER, is_box=True),
    "flat": Family(0.08, boxes.flat_sizes, boxes.box, (500, 1500), is_box=True),
    "block": Family(0.05, boxes.block_sizes, boxes.box, (300, 1200), is_box=True),
    "bar": Family(0.06, boxes.bar_sizes, boxes.box, (300, 900), is_box=True),
    "joined": Family(0.025, boxes.joined_sizes, boxes.joined, (300, 900), lying=0.3),
    "tray": Family(0.02, boxes.tray_sizes, boxes.tray, (300, 900), upside_down=0.15),
    "can": Family(0.065, lathe.can_sizes, lathe.can, (300, 1000), lying=0.25, upside_down=0.3),
    "tin": Family(0.03, lathe.tin_sizes, lathe.can, (300, 1000), upside_down=0.3),
    "spray": Family(0.02, lathe.spray_sizes, lathe.spray, (400, 900), lying=0.25),
    "bottle": Family(0.015, lathe.bottle_sizes, lathe.bottle, _HOLLOW, is_vessel=True, lying=0.2),
    "capped_bottle": Family(0.03, lathe.bottle_sizes, lathe.capped_bottle, (300, 1000), lying=0.25),
    "cup": Family(
        0.045, lathe.cup_sizes, lathe.cup, _CLAY, is_vessel=True, lying=0.1, upside_down=0.1
    ),
    "tumbler": Family(
        0.03, lathe.tumbler_sizes, lathe.cup, _HOLLOW, is_vessel=True, lying=0.15, upside_down=0.1
    ),
    "bowl": Family(0.03, lathe.bowl_sizes, lathe.bowl, _CLAY, is_vessel=True, upside_down=0.12),
    "plate": Family(0.01, lathe.plate_sizes, lathe.plate, _CLAY, upside_down=0.05),
    "wine_glass": Family(
        0.01, lathe.wine_glass_sizes, lathe.wine_glass, _HOLLOW, is_vessel=True, lying=0.15
    ),
    "jar": Family(0.015, lathe.jar_sizes, lathe.jar, _HOLLOW, is_vessel=True, lying=0.1),
    "lidded_jar": Family(
        0.015, lathe.jar_sizes, lathe.lidded_jar, (500, 1200), lying=0.15, upside_down=0.05
    ),
    "vase": Family(0.008, lathe.vase_sizes, lathe.vase, _CLAY, is_vessel=True, lying=0.05),
    "rod": Family(0.015, lathe.rod_sizes, lathe.rod, (400, 1500), lying=0.95),
    "tape": Family(0.017, lathe.tape_sizes, lathe.tape, (500, 1100)),
    "hammer": Family(0.01, tools.hammer_sizes, tools.hammer, _TOOL),
    "screwdriver": Family(0.01, tools.screwdriver_sizes, tools.screwdriver, _TOOL),
    "spoon": Family(0.008, tools.spoon_sizes, tools.spoon, _TOOL),
    "pliers": Family(0.008, tools.pliers_sizes, tools.pliers, _TOOL),
    "wrench": Family(0.01, tools.wrench_sizes, tools.wrench, _TOOL),
    "fruit": Family(0.05, tools.fruit_sizes, tools.fruit, _FOOD),
    "pear": Family(0.012, tools.pear_sizes, tools.pear, _FOOD),
    "banana": Family(0.012, tools.banana_sizes, tools.banana, _FOOD),
    "bread": Family(0.008, tools.bread_sizes, tools.bread, (250, 700)),
}
FAMILY_NAMES = (*FAMILIES, MESH)
_CUMULATIVE = np.cumsum([family.share for family in FAMILIES.values()])


@dataclass(frozen=True)
class SimObject:
    """A family and its dimensions.

    Attributes:
        family: Key of ``FAMILIES``, or ``MESH``.
        dimensions: (DIMENSION_COUNT,) float32, metres, meaning depends on the family, unused
            entries are 0; the half sizes of its bounding box for a mesh.
        mesh: The mesh of the family ``MESH``.
    """

    family: str
    dimensions: NDArray[np.float32]
    mesh: LibraryMesh | None = None

    @cached_property
    def solids(self) -> tuple[Solid, ...]:
        """Overlapping solids in the object frame; none for a mesh."""
        if self.mesh is not None:
            return ()
        solids = FAMILIES[self.family].build(self.dimensions.astype(np.float64))
        low, high = _reach(solids)
        shift = np.zeros((3, 4))
        shift[:, 3] = -0.5 * (low + high)
        return tuple(replace(solid, pose=solid.pose + shift) for solid in solids)

    @property
    def is_box(self) -> bool:
        """Whether it is one box."""
        return self.mesh is None and FAMILIES[self.family].is_box

    @property
    def is_vessel(self) -> bool:
        """Whether it is hollow and open, as things of glass are."""
        return self.mesh is None and FAMILIES[self.family].is_vessel

    @cached_property
    def mass_kg(self) -> float:
        """Mass; the density is drawn from the family's range, always the same for a shape."""
        if self.mesh is not None:
            return 600.0 * self.mesh.volume_m3
        draw = zlib.crc32(self.dimensions.tobytes()) / 2**32
        low, high = FAMILIES[self.family].density
        return float(low + draw * (high - low)) * sum(s.volume_m3() for s in self.solids)

    def surfaces(self) -> list[Surface]:
        """Exact surfaces in the object frame; none for a mesh."""
        return [surface for solid in self.solids for surface in solid.surfaces()]

    def meshes(self) -> list[TriangleMesh]:
        """Closed parts, which may overlap, in the object frame; of a user's mesh, the mesh."""
        if self.mesh is not None:
            return [self.mesh.mesh]
        return [solid.mesh() for solid in self.solids]

    def collision_parts(self, fine: bool = False) -> list[CollisionPart]:
        """Convex parts for physics, in the object frame; fine ones for what fingers reach into."""
        if self.mesh is not None:
            return [CollisionPart("hull", (), np.eye(4)[:3], hull) for hull in self.mesh.hulls]
        return [part for solid in self.solids for part in solid.collision(fine)]

    def half_extents(self) -> NDArray[np.float64]:
        """(3,) half size of the object's bounding box in its own frame."""
        if self.mesh is not None:
            return self.dimensions[:3].astype(np.float64)
        low, high = _reach(self.solids)
        return 0.5 * (high - low)


def _reach(solids: list[Solid] | tuple[Solid, ...]) -> tuple[NDArray[np.float64], ...]:
    low, high = zip(*(solid.reach() for solid in solids), strict=True)
    return np.min(low, axis=0), np.max(high, axis=0)


def mesh_object(mesh: LibraryMesh) -> SimObject:
    """An object that looks like ``mesh``."""
    dimensions = np.zeros(DIMENSION_COUNT, np.float32)
    dimensions[:3] = 0.5 * np.ptp(mesh.mesh.vertices, axis=0)
    return SimObject(MESH, dimensions, mesh)


def sample_object(rng: np.random.Generator, family: str | None = None) -> SimObject:
    """A random object, of a random family where none is given."""
    if family is None:
        draw = rng.random() * _CUMULATIVE[-1]
        family = FAMILY_NAMES[int(np.searchsorted(_CUMULATIVE, draw, side="right"))]
    values = FAMILIES[family].sizes(rng)
    dimensions = np.zeros(DIMENSION_COUNT, np.float32)
    dimensions[: len(values)] = values
    return SimObject(family, dimensions)
