"""Views: everything that one picture of a settled scene shows, as flat arrays.

What may differ between two pictures of the same settled scene is drawn here from one seeded
generator: camera, table, room, materials, light, which objects are glass.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from repsam_ros.errors import ConfigError
from repsam_ros.simulation.cameras import CameraRig, default_rigs, draw_camera
from repsam_ros.simulation.objects import BOX, CONE, ELLIPSOID, RING, SimObject, Surface
from repsam_ros.simulation.scenes import Scene

Vector = NDArray[np.float64]

# Triangle meshes, a fifth kind beside the analytic surfaces of ``objects``.
MESH = 4
# Surfaces of each kind that one picture may hold; objects beyond are left out of the picture.
CAPACITY = {BOX: 64, ELLIPSOID: 24, CONE: 96, RING: 96, MESH: 20}
MAX_OBJECTS = 20
# Unused rows lie a kilometre up, where no ray goes.
UNUSED_Z_M = 1000.0
# Materials of the room follow those of the objects.
TABLE, FLOOR, WALL, CLUTTER, FIXTURE, HAND = (MAX_OBJECTS + slot for slot in (0, 1, 2, 3, 6, 7))
MATERIAL_COUNT = MAX_OBJECTS + 8
# Columns of the materials.
TEXTURE, SCALE, TINT, TINT_SHARE, GLOSS, SHININESS, GLASS, DROPOUT = 0, 1, 2, 5, 6, 7, 8, 9
# Entries of the light.
LAMP, FILL, AMBIENT, LAMP_STRENGTH, FILL_STRENGTH = 0, 3, 6, 7, 8
LAMP_COLOR, SKY = 9, 12


@dataclass(frozen=True)
class ViewSettings:
    """Ranges from which pictures of a scene are drawn.

    Attributes:
        glass_share: Probability that a vessel is made of glass, in pictures that have any; other
            objects are a fifth as often.
        glass_scene_share: Share of pictures with glass.
        rigs: Camera mounts by name.
        textures: Number of textures to choose from.
    """

    glass_share: float = 0.5
    glass_scene_share: float = 0.12
    rigs: dict[str, CameraRig] = field(default_factory=default_rigs)
    textures: int = 243

    def __post_init__(self) -> None:
        for name in ("glass_share", "glass_scene_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        if not self.rigs:
            raise ConfigError("rigs: at least one camera rig is needed")


@dataclass(frozen=True)
class View:
    """Everything that one picture shows.

    Attributes:
        scene: At rest, in the world frame.
        slots: (N,) int64, owner number of each object of the scene, -1 = not in the picture.
            The instance id of owner ``o`` is ``o + 1``.
        arrays: float32 and int64 arrays of one size for all views, so that they stack:
            ``pose_K`` (P, 12) world_from_surface, ``size_K`` (P, 4) and ``owner_K`` (P,) of each
            surface kind K; ``materials`` (MATERIAL_COUNT, 10); ``camera`` (12,)
            world_from_camera, optical frame (REP-103); ``intrinsics`` (4,) fx fy cx cy;
            ``light`` (15,).
        size: (height, width).
        rig: Name of the camera rig.
    """

    scene: Scene
    slots: NDArray[np.int64]
    arrays: dict[str, NDArray[Any]]
    size: tuple[int, int]
    rig: str

    @property
    def world_from_camera(self) -> NDArray[np.float32]:
        """(3, 4) pose of the optical frame."""
        pose: NDArray[np.float32] = self.arrays["camera"].reshape(3, 4)
        return pose

    def object_in(self, slot: int) -> SimObject:
        """The object that owns ``slot``."""
        return self.scene.objects[int(np.flatnonzero(self.slots == slot)[0])]


def _material(
    rng: np.random.Generator, textures: int, glass: bool, is_room: bool
) -> NDArray[np.float32]:
    """texture, scale m (0: stretched over a face), tint rgb, tint share, gloss, shininess, glass,
    dropout of the depth sensor."""
    stretched = rng.random() < 0.55
    scale = 0.0 if stretched else np.exp(rng.uniform(np.log(0.03), np.log(0.5)))
    # Most things in a room are pale or grey; few are strongly coloured.
    grey, saturation = rng.uniform(0.08, 1.0), rng.random() ** 2
    tint = grey + saturation * (rng.uniform(0.03, 1.0, 3) - grey)
    # Tables, floors and walls are calmer than packages.
    tinted = rng.uniform(0.3, 1.0) if is_room else rng.uniform(0, 0.5)
    if rng.random() < 0.3:
        tinted = 1.0
    gloss = rng.uniform(0, 0.6) ** 2
    dropout = rng.uniform(0.1, 0.7) if rng.random() < 0.06 else 0.0
    return np.array(
        [
            rng.integers(textures),
            scale,
            *tint,
            tinted,
            0.5 if glass else gloss,
            np.exp(rng.uniform(1.5, 5)),
            glass,
            dropout,
        ],
        np.float32,
    )


def _footprint(scene: Scene, turn: Vector) -> Vector:
    """(2,) how far objects and fixtures reach along the axes of a table, world_from_table turned.

    Objects count as their centres and 5 cm around them: long things may jut out.
    """
    signs = np.array([[x, y] for x in (-1, 1) for y in (-1, 1)])
    corners = scene.fixtures[:, None, 3:5] + signs * scene.fixtures[:, None, :2]
    objects = np.abs(scene.positions_m[:, :2] @ turn).max(axis=0) + 0.05
    fixtures = np.abs(corners.reshape(-1, 2) @ turn).max(axis=0, initial=0.0)
    return np.asarray(np.maximum(objects, fixtures))


def clear_sight(arrays: dict[str, NDArray[Any]], eye: Vector, target: Vector) -> None:
    """Takes away the walls and clutter that stand between the camera and the objects, in place."""
    pose = arrays[f"pose_{BOX}"].reshape(-1, 3, 4)
    owner, half = arrays[f"owner_{BOX}"], arrays[f"size_{BOX}"][:, :3]
    start, end = (
        np.sum(pose[:, :, :3] * (point - pose[:, :, 3])[:, :, None], axis=1)
        for point in (eye, target)
    )
    way = np.where(np.abs(end - start) < 1e-9, 1e-9, end - start)
    first, second = (-half - start) / way, (half - start) / way
    enters = np.minimum(first, second).max(axis=1)
    leaves = np.maximum(first, second).min(axis=1)
    between = (enters < leaves) & (enters < 1) & (leaves > 0)
    pose[between & (owner >= WALL) & (owner < FIXTURE), 2, 3] = UNUSED_Z_M


def _room(rng: np.random.Generator, scene: Scene) -> list[tuple[int, Surface]]:
    """Table, floor, walls and clutter beyond the table, as (owner, surface)."""
    table_half = rng.uniform(0.28, 0.9, 2)
    yaw = Rotation.from_euler("z", rng.uniform(-0.6, 0.6)).as_matrix()
    table_half = np.maximum(table_half, _footprint(scene, yaw[:2, :2]))

    def box(half: Vector, centre: Vector, turn: Vector) -> Surface:
        pose = np.column_stack([turn, turn @ centre])
        return Surface(BOX, (*half, 0.0), pose)

    surfaces = [(TABLE, box(np.array([*table_half, 0.015]), np.array([0, 0, -0.015]), yaw))]
    floor = np.eye(4)[:3]
    floor[2, 3] = -rng.uniform(0.3, 0.9)
    surfaces.append((FLOOR, Surface(RING, (0.0, 8.0, 0.0, 0.0), floor)))
    for _ in range(int(rng.integers(0, 3))):
        side = rng.integers(2)
        centre = np.zeros(3)
        centre[side] = rng.choice([-1, 1]) * (table_half[side] + rng.uniform(0.02, 1.5))
        half = np.array([3.0, 3.0, 2.5])
        half[side] = 0.01
        surfaces.append((WALL, box(half, centre, yaw)))
    for _ in range(int(rng.integers(0, 6))):
        half = rng.uniform(0.03, 0.4, 3)
        side = rng.integers(2)
        centre = np.array([*rng.uniform(-1.5, 1.5, 2), floor[2, 3] + half[2]])
        sign = rng.choice([-1, 1])
        centre[side] = sign * (table_half[side] + half[side] * 1.5 + rng.uniform(0.02, 0.8))
        surfaces.append((CLUTTER + int(rng.integers(3)), box(half, centre, yaw)))
    for fixture in scene.fixtures:
        surfaces.append((FIXTURE, box(fixture[:3], fixture[3:], np.eye(3))))
    return surfaces


class _Placed:
    """Surfaces of a view by kind, up to what a picture may hold."""

    def __init__(self) -> None:
        self._rows: dict[int, list[tuple[Vector, tuple[float, ...], int]]] = {
            kind: [] for kind in CAPACITY
        }

    def add(self, owner: int, surfaces: list[Surface], world: Vector) -> bool:
        """Adds all surfaces of one owner, or none if there is no room for them."""
        for kind, capacity in CAPACITY.items():
            if len(self._rows[kind]) + sum(s.kind == kind for s in surfaces) > capacity:
                return False
        for surface in surfaces:
            rotation = world[:, :3] @ surface.pose[:, :3]
            translation = world[:, :3] @ surface.pose[:, 3] + world[:, 3]
            pose = np.column_stack([rotation, translation])
            self._rows[surface.kind].append((pose, surface.size, owner))
        return True

    def arrays(self) -> dict[str, NDArray[Any]]:
        result: dict[str, NDArray[Any]] = {}
        for kind, capacity in CAPACITY.items():
            pose = np.zeros((capacity, 3, 4), np.float32)
            pose[:] = np.eye(4)[:3]
            pose[:, 2, 3] = UNUSED_Z_M
            size = np.full((capacity, 4), 1e-4, np.float32)
            owner = np.full(capacity, MAX_OBJECTS, np.int64)
            for row, (surface_pose, surface_size, surface_owner) in enumerate(self._rows[kind]):
                pose[row], size[row], owner[row] = surface_pose, surface_size, surface_owner
            result[f"pose_{kind}"] = pose.reshape(capacity, 12)
            result[f"size_{kind}"], result[f"owner_{kind}"] = size, owner
        return result


def _object_surfaces(item: SimObject) -> list[Surface]:
    if item.mesh is None:
        return item.surfaces()
    half = item.half_extents()
    return [Surface(MESH, (float(half[0]), float(half[1]), float(half[2]), 0.0))]


def draw_view(
    scene: Scene, seed: tuple[int, ...], settings: ViewSettings, size: tuple[int, int]
) -> View:
    """One view of ``scene`` of (height, width) ``size``; the same seed gives the same view."""
    rng = np.random.default_rng(seed)
    with_glass = rng.random() < settings.glass_scene_share
    placed = _Placed()
    for owner, surface in _room(rng, scene):
        placed.add(owner, [surface], np.eye(4)[:3])
    # Ids say nothing about the order in which a scene was built.
    order = rng.permutation(MAX_OBJECTS)
    slots = np.full(len(scene.objects), -1, np.int64)
    for index, item in enumerate(scene.objects[:MAX_OBJECTS]):
        rotation = Rotation.from_quat(np.roll(scene.quaternions[index], -1)).as_matrix()
        world = np.column_stack([rotation, scene.positions_m[index]])
        if placed.add(int(order[index]), _object_surfaces(item), world):
            slots[index] = order[index]
    arrays = placed.arrays()
    glass = np.zeros(MATERIAL_COUNT, bool)
    for slot, item in zip(slots, scene.objects, strict=True):
        share = settings.glass_share * (1.0 if item.is_vessel else 0.2)
        is_glass = rng.random() < share and with_glass
        if slot >= 0:
            glass[slot] = is_glass
    arrays["materials"] = np.stack(
        [
            _material(rng, settings.textures, bool(glass[owner]), owner >= MAX_OBJECTS)
            for owner in range(MATERIAL_COUNT)
        ]
    )
    names = list(settings.rigs)
    shares = np.array([settings.rigs[name].share for name in names])
    rig = names[rng.choice(len(names), p=shares / shares.sum())]
    camera, intrinsics = draw_camera(rng, scene, settings.rigs[rig], size)
    clear_sight(arrays, camera[:, 3], scene.positions_m.mean(axis=0))
    arrays["camera"] = camera.astype(np.float32).reshape(12)
    arrays["intrinsics"] = intrinsics.astype(np.float32)
    arrays["light"] = draw_light(rng)
    return View(scene, slots, arrays, size, rig)


def draw_light(rng: np.random.Generator) -> NDArray[np.float32]:
    """(15,) a lamp, a fill light, the ambient light and the sky."""
    warmth = rng.normal(0, 0.12)
    position = np.array([*rng.uniform(-2, 2, 2), rng.uniform(0.8, 2.5)])
    fill = rng.normal(0, 1, 3) + np.array([0, 0, 1.0])
    return np.array(
        [
            *position,
            *(fill / np.linalg.norm(fill)),
            rng.uniform(0.25, 0.7),  # ambient
            rng.uniform(0.2, 0.9),  # lamp
            rng.uniform(0.0, 0.4),  # fill
            1 + warmth,
            1.0,
            1 - warmth,
            *rng.uniform(0.1, 1.0, 3),  # sky
        ],
        np.float32,
    )
