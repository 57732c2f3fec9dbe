"""From a settled scene to flat arrays that the ray caster takes: surfaces, materials, camera.

Everything that may differ between two pictures of the same settled scene is drawn here from one
seeded generator: camera, table, room, materials, light, which objects are glass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from repsam_ros.simulation.objects import BOX, CONE, ELLIPSOID, RING, Surface
from repsam_ros.simulation.scenes import Scene, bin_walls

Vector = NDArray[np.float64]

# Surfaces of each kind that one picture may hold; objects beyond are left out of the picture.
CAPACITY = {BOX: 48, ELLIPSOID: 16, CONE: 64, RING: 64}
MAX_OBJECTS = 20
MATERIAL_COUNT = MAX_OBJECTS + 8  # the rest: table, floor, room, bin, clutter beyond the table


@dataclass(frozen=True)
class ViewSettings:
    """Ranges from which pictures of a scene are drawn.

    Attributes:
        glass_share: Probability that an object is made of glass, in scenes that have any.
        glass_scene_share: Share of scenes with glass.
        distance_m: Camera distance from the scene's centre.
        elevation_deg: Camera elevation over the table.
        focal: Focal length over image width.
    """

    glass_share: float = 0.5
    glass_scene_share: float = 0.12
    distance_m: tuple[float, float] = (0.45, 1.3)
    elevation_deg: tuple[float, float] = (18.0, 80.0)
    focal: tuple[float, float] = (0.68, 1.1)


def _material(rng: np.random.Generator, textures: int, glass: bool) -> NDArray[np.float32]:
    """texture, scale m (0: stretched over a face), tint rgb, tint share, gloss, shininess, glass,
    dropout of the depth sensor."""
    stretched = rng.random() < 0.55
    scale = 0.0 if stretched else np.exp(rng.uniform(np.log(0.03), np.log(0.5)))
    # Most things in a room are pale or grey; few are strongly coloured.
    grey, saturation = rng.uniform(0.08, 1.0), rng.random() ** 2
    tint = grey + saturation * (rng.uniform(0.03, 1.0, 3) - grey)
    tinted = 1.0 if rng.random() < 0.3 else rng.uniform(0, 0.5)
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


def _room(rng: np.random.Generator, scene: Scene) -> list[tuple[int, Surface]]:
    """Table, floor, walls and clutter beyond the table, as (material slot, surface)."""
    table_half = rng.uniform(0.28, 0.9, 2)
    reach = np.abs(scene.positions_m[:, :2]).max() + 0.05
    table_half = np.maximum(table_half, reach)
    yaw = Rotation.from_euler("z", rng.uniform(-0.6, 0.6)).as_matrix()

    def box(half: Vector, centre: Vector, turn: Vector) -> Surface:
        pose = np.column_stack([turn, turn @ centre])
        return Surface(BOX, (*half, 0.0), pose)

    surfaces = [(0, box(np.array([*table_half, 0.015]), np.array([0, 0, -0.015]), yaw))]
    floor = np.eye(4)[:3]
    floor[2, 3] = -rng.uniform(0.3, 0.9)
    surfaces.append((1, Surface(RING, (0.0, 8.0, 0.0, 0.0), floor)))
    for _ in range(int(rng.integers(0, 3))):
        side = rng.integers(2)
        centre = np.zeros(3)
        centre[side] = rng.choice([-1, 1]) * (table_half[side] + rng.uniform(0.02, 1.5))
        half = np.array([3.0, 3.0, 2.5])
        half[side] = 0.01
        surfaces.append((2, box(half, centre, yaw)))
    for _ in range(int(rng.integers(0, 6))):
        half = rng.uniform(0.03, 0.4, 3)
        side = rng.integers(2)
        centre = np.array([*rng.uniform(-1.5, 1.5, 2), floor[2, 3] + half[2]])
        sign = rng.choice([-1, 1])
        centre[side] = sign * (table_half[side] + half[side] * 1.5 + rng.uniform(0.02, 0.8))
        surfaces.append((3 + int(rng.integers(3)), box(half, centre, yaw)))
    if scene.bin_m[2] > 0:
        for wall_half, wall_centre in bin_walls(scene.bin_m):
            surfaces.append((6, box(np.array(wall_half), np.array(wall_centre), np.eye(3))))
    return surfaces


def _camera(
    rng: np.random.Generator, scene: Scene, settings: ViewSettings, width: int, height: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(3, 4) world_from_camera (optical frame, REP-103) and (fx, fy, cx, cy)."""
    target = scene.positions_m.mean(axis=0) + rng.normal(0, 0.04, 3)
    distance = np.exp(rng.uniform(*np.log(settings.distance_m)))
    elevation = np.deg2rad(rng.uniform(*settings.elevation_deg))
    azimuth = rng.uniform(0, 2 * np.pi)
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
    focal = width * np.exp(rng.uniform(*np.log(settings.focal)))
    shift = rng.normal(0, 0.04, 2) * width
    intrinsics = np.array([focal, focal, 0.5 * width + shift[0], 0.5 * height + shift[1]])
    return np.column_stack([rotation, position]), intrinsics


def draw_view(
    scene: Scene,
    seed: tuple[int, ...],
    settings: ViewSettings,
    textures: int,
    width: int,
    height: int,
) -> dict[str, NDArray[Any]]:
    """Arrays of one picture of ``scene``, padded to ``CAPACITY`` so that they stack into batches.

    Returns:
        ``pose_K`` (P, 12), ``size_K`` (P, 4) and ``owner_K`` (P,) of each surface kind K, in the
        world frame; ``materials`` (MATERIAL_COUNT, 10); ``camera`` (12,); ``intrinsics`` (4,);
        ``light`` (16,). Owner ``o`` < MAX_OBJECTS is object ``o``, with id ``o + 1``.
    """
    rng = np.random.default_rng(seed)
    with_glass = rng.random() < settings.glass_scene_share
    placed: dict[int, list[tuple[Vector, tuple[float, ...], int]]] = {kind: [] for kind in CAPACITY}

    def add(owner: int, surfaces: list[Surface], world: Vector) -> None:
        for surface in surfaces:
            rotation = world[:, :3] @ surface.pose[:, :3]
            translation = world[:, :3] @ surface.pose[:, 3] + world[:, 3]
            pose = np.column_stack([rotation, translation])
            placed[surface.kind].append((pose, surface.size, owner))

    for slot, surface in _room(rng, scene):
        add(MAX_OBJECTS + slot, [surface], np.eye(4)[:3])
    order = rng.permutation(MAX_OBJECTS)
    for index, item in enumerate(scene.objects[:MAX_OBJECTS]):
        surfaces = item.surfaces()
        counts = {kind: sum(s.kind == kind for s in surfaces) for kind in CAPACITY}
        if any(len(placed[kind]) + counts[kind] > CAPACITY[kind] for kind in CAPACITY):
            continue
        rotation = Rotation.from_quat(np.roll(scene.quaternions[index], -1)).as_matrix()
        world = np.column_stack([rotation, scene.positions_m[index]])
        add(int(order[index]), surfaces, world)

    result: dict[str, NDArray[Any]] = {}
    for kind, capacity in CAPACITY.items():
        pose = np.zeros((capacity, 3, 4), np.float32)
        pose[:] = np.eye(4)[:3]
        pose[:, 2, 3] = 1e3  # unused surfaces lie a kilometre up, where no ray goes
        size = np.full((capacity, 4), 1e-4, np.float32)
        owner = np.full(capacity, MAX_OBJECTS, np.int64)
        for row, (surface_pose, surface_size, surface_owner) in enumerate(placed[kind]):
            pose[row], size[row], owner[row] = surface_pose, surface_size, surface_owner
        result[f"pose_{kind}"] = pose.reshape(capacity, 12)
        result[f"size_{kind}"], result[f"owner_{kind}"] = size, owner
    result["materials"] = np.stack(
        [
            _material(
                rng,
                textures,
                with_glass and i < MAX_OBJECTS and rng.random() < settings.glass_share,
            )
            for i in range(MATERIAL_COUNT)
        ]
    )
    camera, intrinsics = _camera(rng, scene, settings, width, height)
    result["camera"] = camera.astype(np.float32).reshape(12)
    result["intrinsics"] = intrinsics.astype(np.float32)
    warmth = rng.normal(0, 0.12)
    position = np.array([*rng.uniform(-2, 2, 2), rng.uniform(0.8, 2.5)])
    fill = rng.normal(0, 1, 3) + np.array([0, 0, 1.0])
    result["light"] = np.array(
        [
            *position,
            *(fill / np.linalg.norm(fill)),
            rng.uniform(0.25, 0.7),  # ambient
            rng.uniform(0.2, 0.9),  # main
            rng.uniform(0.0, 0.4),  # fill
            1 + warmth,
            1.0,
            1 - warmth,
            *rng.uniform(0.1, 1.0, 3),  # sky colour
            rng.random(),  # side of the projector
        ],
        np.float32,
    )
    return result
