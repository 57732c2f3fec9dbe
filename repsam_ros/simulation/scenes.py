"""Settled scenes: objects come to rest on a table under MuJoCo's physics.

World frame: z up, table top at z = 0. A set of scenes is a few flat arrays, so that tens of
thousands of them fit in a few megabytes and travel to the machine that renders and trains.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from repsam_ros.errors import BackendError, DatasetError
from repsam_ros.paths import atomic_path
from repsam_ros.simulation.objects import FAMILIES, FAMILY_NAMES, SimObject, sample_object

SCENE_KINDS = {"packed": 0.38, "stack": 0.30, "pile": 0.22, "bin": 0.10}
TIME_STEP_S = 0.003


@dataclass(frozen=True)
class Scene:
    """Objects at rest.

    Attributes:
        kind: Key of ``SCENE_KINDS``.
        objects: N objects.
        positions_m: (N, 3) float64, world_from_object translations.
        quaternions: (N, 4) float64, world_from_object rotations, scalar first.
        bin_m: (length, width, height) of the open bin around the objects, zeros without one.
    """

    kind: str
    objects: tuple[SimObject, ...]
    positions_m: NDArray[np.float64]
    quaternions: NDArray[np.float64]
    bin_m: tuple[float, float, float]


def _upright(rng: np.random.Generator, item: SimObject) -> Rotation:
    """A stable way to stand or lie, with a random yaw."""
    yaw = Rotation.from_euler("z", rng.uniform(0, 2 * np.pi))
    if item.family == "box":
        turn = Rotation.from_euler("x", 0.5 * np.pi * rng.integers(2))
        return yaw * Rotation.from_euler("y", 0.5 * np.pi * rng.integers(2)) * turn
    if item.family == "lathe" and rng.random() < 0.25:
        return yaw * Rotation.from_euler("x", np.pi * rng.choice([0.5, 0.5, 1.0]))
    return yaw


def _world_half_extents(item: SimObject, rotation: Rotation) -> NDArray[np.float64]:
    half: NDArray[np.float64] = np.abs(rotation.as_matrix()) @ item.half_extents()
    return half


def _footprint(item: SimObject, rotation: Rotation) -> NDArray[np.float64]:
    """(4, 2) corners of the oriented rectangle under the object, centred at the origin."""
    matrix = rotation.as_matrix()
    half = item.half_extents()
    up = int(np.argmax(np.abs(matrix[2])))
    a, b = [axis for axis in range(3) if axis != up]
    u, v = matrix[:2, a] * half[a], matrix[:2, b] * half[b]
    return np.array([u + v, u - v, -u - v, v - u])


def _overlap(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    """Separating-axis test of two convex quadrilaterals."""
    for quad in (first, second):
        for edge in (quad[1] - quad[0], quad[2] - quad[1]):
            axis = np.array([-edge[1], edge[0]])
            a, b = first @ axis, second @ axis
            if a.max() <= b.min() or b.max() <= a.min():
                return False
    return True


def _place_side_by_side(
    rng: np.random.Generator, items: list[SimObject], spread_m: float
) -> tuple[NDArray[np.float64], list[Rotation]]:
    """Places each object as near to the centre as chance and its neighbours allow."""
    positions: list[list[float]] = []
    rotations: list[Rotation] = []
    footprints: list[NDArray[np.float64]] = []
    shared_yaw = rng.uniform(0, np.pi) if rng.random() < 0.4 else None
    for item in items:
        rotation = _upright(rng, item)
        if shared_yaw is not None and rng.random() < 0.7:
            yaw = rotation.as_euler("zyx")[0]
            rotation = Rotation.from_euler("z", shared_yaw - yaw + rng.normal(0, 0.03)) * rotation
        outline = _footprint(item, rotation) * 1.02
        tries = rng.normal(0, spread_m * (1 + 0.15 * len(positions)), (40, 2))
        tries = tries[np.argsort(np.linalg.norm(tries, axis=1))]
        if rng.random() < 0.4:
            rng.shuffle(tries)
        for xy in tries:
            if not any(_overlap(outline + xy, other) for other in footprints):
                break
        else:
            continue
        footprints.append(outline + xy)
        positions.append([*xy, _world_half_extents(item, rotation)[2] + 0.002])
        rotations.append(rotation)
        items[len(positions) - 1] = item
    del items[len(positions) :]
    return np.array(positions).reshape(-1, 3), rotations


def _place_towers(
    rng: np.random.Generator, items: list[SimObject], spread_m: float
) -> tuple[NDArray[np.float64], list[Rotation]]:
    """Stacks flat-topped objects, the larger ones below, and packs the rest around them."""
    flat = [item for item in items if FAMILIES[item.family].flat_topped]
    flat.sort(key=lambda item: -float(np.sort(item.half_extents())[1:].prod()))
    towers: list[list[SimObject]] = []
    while flat:
        height = int(rng.integers(2, 5))
        towers.append(flat[:height])
        flat = flat[height:]
    rest = [item for item in items if not FAMILIES[item.family].flat_topped]
    bases = [tower[0] for tower in towers] + rest
    towers += [[item] for item in rest]
    placed_bases = list(bases)
    positions, rotations = _place_side_by_side(rng, placed_bases, spread_m)
    items.clear()
    all_positions, all_rotations = [], []
    for base, position, rotation in zip(placed_bases, positions, rotations, strict=True):
        tower = next(t for t in towers if t[0] is base)
        top = 0.0
        for level, item in enumerate(tower):
            if level:
                # Lie on the largest face: the smallest half extent points up.
                axis = int(np.argmin(item.half_extents()))
                turn = {0: ("y", 0.5), 1: ("x", 0.5), 2: ("z", 0.0)}[axis]
                if rng.random() < 0.2:
                    turn = ("z", 0.0)
                yaw = Rotation.from_euler("z", rng.uniform(0, 2 * np.pi))
                rotation = yaw * Rotation.from_euler(turn[0], turn[1] * np.pi)
            half = _world_half_extents(item, rotation)
            shift = rng.normal(0, 0.25, 2) * half[:2] if level else np.zeros(2)
            all_positions.append([*(position[:2] + shift), top + half[2] + 0.002])
            all_rotations.append(rotation)
            items.append(item)
            top += 2 * half[2] + 0.002
    return np.array(all_positions).reshape(-1, 3), all_rotations


def _place_falling(
    rng: np.random.Generator, items: list[SimObject], spread_m: float
) -> tuple[NDArray[np.float64], list[Rotation]]:
    rotations = [Rotation.random(random_state=rng) for _ in items]
    heights = 0.12 + 0.11 * np.arange(len(items))
    xy = rng.normal(0, 0.6 * spread_m, (len(items), 2))
    return np.column_stack([xy, heights]), rotations


def bin_walls(bin_m: tuple[float, float, float]) -> list[tuple[list[float], list[float]]]:
    """(half sizes, centre) of the four walls of an open bin, 8 mm thick."""
    length, width, height = bin_m
    thick = 0.004
    return [
        ([thick, 0.5 * width, 0.5 * height], [sign * 0.5 * length, 0, 0.5 * height])
        for sign in (-1, 1)
    ] + [
        ([0.5 * length, thick, 0.5 * height], [0, sign * 0.5 * width, 0.5 * height])
        for sign in (-1, 1)
    ]


def _settle(
    items: list[SimObject],
    positions: NDArray[np.float64],
    rotations: list[Rotation],
    bin_m: tuple[float, float, float],
    seconds: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Runs physics; returns (N, 3) positions and (N, 4) quaternions, scalar first."""
    try:
        import mujoco
    except ImportError as error:
        raise BackendError("settling scenes needs mujoco: pip install mujoco") from error

    spec = mujoco.MjSpec()
    spec.option.timestep = TIME_STEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    world = spec.worldbody
    world.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[2, 2, 0.1], friction=[0.9, 0.01, 0.001])
    if bin_m[2] > 0:
        for half, centre in bin_walls(bin_m):
            world.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=half, pos=centre)
    kinds = {
        "box": mujoco.mjtGeom.mjGEOM_BOX,
        "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
        "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
    }
    for item, position, rotation in zip(items, positions, rotations, strict=True):
        quaternion = np.roll(rotation.as_quat(), 1)
        body = world.add_body(pos=position, quat=quaternion)
        body.add_freejoint()
        for part in item.collision_parts():
            size = [*part.size, 0.0, 0.0][:3]
            body.add_geom(
                type=kinds[part.kind],
                size=size,
                pos=part.position,
                quat=part.quaternion,
                density=400,
                friction=[0.7, 0.02, 0.002],
            )
    model = spec.compile()
    data = mujoco.MjData(model)
    for _ in range(int(seconds / TIME_STEP_S)):
        mujoco.mj_step(model, data)
        # A slow bleed of energy stands in for the damping that real packages have.
        data.qvel *= 0.995
    poses = data.qpos.reshape(-1, 7)
    return poses[:, :3].copy(), poses[:, 3:].copy()


def settle_scene(seed: int) -> Scene:
    """One random settled scene; the same seed gives the same scene.

    Raises:
        BackendError: MuJoCo is not installed.
    """
    for attempt in range(20):
        rng = np.random.default_rng([seed, attempt])
        layout = str(rng.choice(list(SCENE_KINDS), p=list(SCENE_KINDS.values())))
        count = int(np.clip(np.round(np.exp(rng.normal(1.9, 0.55))), 1, 20))
        items = [sample_object(rng) for _ in range(count)]
        spread_m = rng.uniform(0.05, 0.16)
        bin_m = (0.0, 0.0, 0.0)
        if layout == "bin":
            length, width, height = rng.uniform([0.32, 0.25, 0.06], [0.5, 0.4, 0.22])
            bin_m = (float(length), float(width), float(height))
        place = {"packed": _place_side_by_side, "stack": _place_towers}.get(layout, _place_falling)
        positions, rotations = place(rng, items, spread_m)
        if len(items) == 0:
            continue
        falls = place is _place_falling
        seconds = 1.6 + 0.05 * count if falls else 0.5
        positions, quaternions = _settle(items, positions, rotations, bin_m, seconds)
        kept = (np.abs(positions[:, :2]).max(axis=1) < 0.6) & (positions[:, 2] > -0.02)
        if bin_m[2] > 0:
            kept &= np.all(np.abs(positions[:, :2]) < 0.5 * np.array(bin_m[:2]), axis=1)
        if kept.any() and np.isfinite(positions).all():
            chosen = tuple(item for item, keep in zip(items, kept, strict=True) if keep)
            return Scene(layout, chosen, positions[kept], quaternions[kept], bin_m)
    raise DatasetError(f"no settled scene for seed {seed}")


def settle_scenes(seeds: list[int], processes: int) -> Iterator[Scene]:
    """Settles scenes in parallel, in the order of their seeds."""
    if processes <= 1:
        yield from map(settle_scene, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(settle_scene, seeds, chunksize=8)


def save_scenes(path: Path, scenes: list[Scene]) -> None:
    """Writes scenes as one compressed NPZ of flat arrays."""
    objects = [item for scene in scenes for item in scene.objects]
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            layout=np.array([list(SCENE_KINDS).index(scene.kind) for scene in scenes], np.uint8),
            bin_m=np.array([scene.bin_m for scene in scenes], np.float32),
            object_count=np.array([len(scene.objects) for scene in scenes], np.uint8),
            family=np.array([FAMILY_NAMES.index(item.family) for item in objects], np.uint8),
            dimensions=np.array([item.dimensions for item in objects], np.float32),
            positions_m=np.concatenate([s.positions_m for s in scenes]).astype(np.float32),
            quaternions=np.concatenate([s.quaternions for s in scenes]).astype(np.float32),
        )


def load_scenes(path: Path) -> list[Scene]:
    """Reads what :func:`save_scenes` wrote.

    Raises:
        DatasetError: The file is missing or not of that layout.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            stored = {name: arrays[name] for name in arrays.files}
        ends = np.cumsum(stored["object_count"])
        names, bins = list(SCENE_KINDS), stored["bin_m"]
        scenes = []
        for index, end in enumerate(ends):
            rows = range(int(end) - int(stored["object_count"][index]), int(end))
            scenes.append(
                Scene(
                    names[stored["layout"][index]],
                    tuple(
                        SimObject(FAMILY_NAMES[stored["family"][row]], stored["dimensions"][row])
                        for row in rows
                    ),
                    stored["positions_m"][rows.start : rows.stop].astype(np.float64),
                    stored["quaternions"][rows.start : rows.stop].astype(np.float64),
                    (float(bins[index, 0]), float(bins[index, 1]), float(bins[index, 2])),
                )
            )
    except (OSError, KeyError, ValueError, IndexError, EOFError) as error:
        raise DatasetError(f"{path}: not a scene file: {error}") from error
    return scenes
