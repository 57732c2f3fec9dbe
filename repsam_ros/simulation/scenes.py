"""Settled scenes: objects come to rest on a table, in a bin or on a shelf under physics.

World frame: z up, table top at z = 0. A set of scenes is a few flat arrays, so that tens of
thousands of them fit in a few megabytes and travel to the machine that renders and trains.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, field, fields
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.array_files import read_arrays
from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.paths import atomic_path
from repsam_ros.simulation.arrangement import fall_down, fill_rows, slide_together
from repsam_ros.simulation.fixtures import open_bin, shelf
from repsam_ros.simulation.groups import make_groups
from repsam_ros.simulation.meshes import MeshLibrary
from repsam_ros.simulation.objects import MESH, SimObject, mesh_object, sample_object
from repsam_ros.simulation.settling import Placed, settle
from repsam_ros.simulation.workers import map_here

Array = NDArray[np.float64]

# Attempts until a scene of one seed is at rest with an object left in it.
ATTEMPTS = 30
TABLE_REACH_M = 0.6


@dataclass(frozen=True)
class KindShares:
    """Relative frequency of each kind of scene.

    Attributes:
        packed: Objects beside each other, many of them touching, some stacked or leaning.
        stack: Mostly rows and towers of boxes.
        pile: Objects that fell into a heap.
        single: One object.
        bin: An open bin, objects dropped in or put in order.
        shelf: A shelf open at the -y side.
    """

    packed: float = 0.42
    stack: float = 0.2
    pile: float = 0.16
    single: float = 0.03
    bin: float = 0.1
    shelf: float = 0.09

    def __post_init__(self) -> None:
        shares = astuple(self)
        if min(shares) < 0 or sum(shares) <= 0:
            raise ConfigError(f"shares of scene kinds: {shares}, expected none below 0, one above")


KINDS = tuple(part.name for part in fields(KindShares))


@dataclass(frozen=True)
class SceneSettings:
    """From what scenes are drawn.

    Attributes:
        kinds: Shares of the kinds of scenes.
        objects: Fewest and most objects put into a scene.
        clutter: 0 (few objects, far apart) to 1 (many, close together).
        mesh_folder: Folder with the user's meshes.
        mesh_share: Probability that an object is one of them.
    """

    kinds: KindShares = field(default_factory=KindShares)
    objects: tuple[int, int] = (1, 20)
    clutter: float = 0.5
    mesh_folder: str | None = None
    mesh_share: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.objects
        if not 1 <= low <= high:
            raise ConfigError(f"objects: {self.objects}, expected 1 <= fewest <= most")
        if not 0 <= self.clutter <= 1 or not 0 <= self.mesh_share <= 1:
            raise ConfigError("clutter and mesh_share lie between 0 and 1")
        if self.mesh_share > 0 and self.mesh_folder is None:
            raise ConfigError("mesh_share above 0 needs a mesh_folder")


@dataclass(frozen=True)
class Scene:
    """Objects at rest.

    Attributes:
        kind: One of ``KINDS``.
        objects: N objects.
        positions_m: (N, 3) float64, world_from_object translations.
        quaternions: (N, 4) float64, world_from_object rotations, scalar first.
        fixtures: (F, 6) float64, half sizes and centres of boxes along the world's axes that are
            no objects: walls of a bin, boards of a shelf.
    """

    kind: str
    objects: tuple[SimObject, ...]
    positions_m: Array
    quaternions: Array
    fixtures: Array


@lru_cache(maxsize=2)
def _library(folder: str) -> MeshLibrary:
    return MeshLibrary(Path(folder))


def _sample(rng: np.random.Generator, settings: SceneSettings) -> SimObject:
    if settings.mesh_folder is not None and rng.random() < settings.mesh_share:
        meshes = _library(settings.mesh_folder).meshes
        return mesh_object(meshes[int(rng.integers(len(meshes)))])
    return sample_object(rng)


def _arranged(
    rng: np.random.Generator, kind: str, items: list[SimObject], clutter: float
) -> tuple[list[Placed], Array, Array]:
    """Where objects start, the fixtures, and the rooms (C, 2, 3) in which they have to end."""
    reach = TABLE_REACH_M
    table = np.array([[[-reach, -reach, -0.01], [reach, reach, np.inf]]])
    nothing = np.zeros((0, 6))
    gap_m = 0.04 * (1 - clutter) + 0.004
    if kind in ("packed", "stack", "single"):
        groups = make_groups(rng, items, stacked=0.92 if kind == "stack" else 0.6)
        return slide_together(rng, groups, 0.02 + 1.5 * gap_m, gap_m), nothing, table
    if kind == "pile":
        return fall_down(rng, items, rng.uniform(0.02, 0.09)), nothing, table
    if kind == "bin":
        fixtures, room = open_bin(rng)
        if rng.random() < 0.5:
            placed, _ = fill_rows(rng, make_groups(rng, items, stacked=0.4), *room)
        else:
            size = 0.5 * (room[1] - room[0])[:2]
            placed = fall_down(rng, items, 0.4 * float(size.min()))
        return placed, fixtures, (room + np.array([[0, 0, -0.01], [0, 0, 0.3]]))[None]
    fixtures, rooms = shelf(rng)
    groups = make_groups(rng, items, stacked=0.4)
    placed = []
    shares = np.array_split(np.arange(len(groups)), len(rooms))
    for room, share in zip(rooms, shares, strict=True):
        some, _ = fill_rows(rng, [groups[index] for index in share], *room)
        placed += some
    return placed, fixtures, rooms + np.array([[0, 0, -0.01], [0, 0, 0]])


def _inside(placed: list[Placed], rooms: Array) -> list[Placed]:
    """The objects whose centres lie in one of the rooms."""
    return [
        one
        for one in placed
        if any(
            np.all(one.position_m > low) and np.all(one.position_m < high) for low, high in rooms
        )
    ]


def settle_scene(seed: int, settings: SceneSettings | None = None) -> Scene:
    """One random settled scene; the same seed and settings give the same scene.

    Raises:
        BackendError: MuJoCo is not installed.
        DatasetError: The mesh folder is unusable, or nothing came to rest.
    """
    settings = settings or SceneSettings()
    shares = np.array(astuple(settings.kinds))
    kind = KINDS[np.random.default_rng([seed, 0]).choice(len(KINDS), p=shares / shares.sum())]
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([seed, 1, attempt])
        count = 1
        if kind != "single":
            # Half as many more in a bin or on a shelf, whose walls frame them.
            usual = 1.4 + 1.1 * settings.clutter + (0.4 if kind in ("bin", "shelf") else 0.0)
            count = int(np.clip(np.round(np.exp(rng.normal(usual, 0.5))), *settings.objects))
        items = [_sample(rng, settings) for _ in range(count)]
        if kind == "packed" and rng.random() < 0.35:  # a post that hides what is behind
            items[-1] = sample_object(rng, "bar")
        if kind == "stack":  # three boxes to every other thing
            items = [item if item.is_box else _sample(rng, settings) for item in items]
        placed, fixtures, rooms = _arranged(rng, kind, items, settings.clutter)
        scene = rested(kind, placed, fixtures, rooms)
        if scene is not None:
            return scene
    raise DatasetError(f"no settled scene for seed {seed}")


def rested(
    kind: str, placed: list[Placed], fixtures: Array, rooms: Array, fine: bool = False
) -> Scene | None:
    """Settles, takes away what left, and settles again until nothing leaves any more.

    Args:
        kind: Of the scene.
        placed: Where the objects start.
        fixtures: (F, 6).
        rooms: (C, 2, 3) lower and upper corners; objects belong into one of them.
        fine: With the finer collision parts.

    Returns:
        None where objects do not come to rest, or none is left.
    """
    seconds = 4.0 if kind in ("pile", "bin") else 2.0
    while placed:
        ended, rests = settle(placed, fixtures, seconds, TABLE_REACH_M, fine)
        placed = _inside(ended, rooms)
        if len(placed) == len(ended):
            if not rests:
                return None
            return Scene(
                kind,
                tuple(one.item for one in placed),
                np.array([one.position_m for one in placed]),
                np.array([one.quaternion for one in placed]),
                fixtures,
            )
    return None


def settle_scenes(
    seeds: list[int], processes: int, settings: SceneSettings | None = None
) -> list[Scene]:
    """Scenes in the order of their seeds; see :func:`settle_scene`.

    Raises:
        BackendError: A process ended without a result.
    """
    found = dict(map_here(partial(_numbered, settings), seeds, processes))
    return [found[seed] for seed in seeds]


def _numbered(settings: SceneSettings | None, seed: int) -> tuple[int, Scene]:
    return seed, settle_scene(seed, settings)


def save_scenes(path: Path, scenes: list[Scene]) -> None:
    """Writes scenes as one compressed NPZ of flat arrays."""
    objects = [item for scene in scenes for item in scene.objects]
    names = sorted({item.family for item in objects})
    meshes = sorted({(i.mesh.name, i.mesh.sha256) for i in objects if i.mesh is not None})
    rows = [-1 if i.mesh is None else meshes.index((i.mesh.name, i.mesh.sha256)) for i in objects]
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            kind_names=np.array(KINDS),
            family_names=np.array(names),
            mesh_names=np.array([name for name, _ in meshes], dtype=np.str_),
            mesh_sha256=np.array([digest for _, digest in meshes], dtype=np.str_),
            kind=np.array([KINDS.index(scene.kind) for scene in scenes], np.uint8),
            object_count=np.array([len(scene.objects) for scene in scenes], np.uint16),
            fixture_count=np.array([len(scene.fixtures) for scene in scenes], np.uint8),
            family=np.array([names.index(item.family) for item in objects], np.uint8),
            mesh=np.array(rows, np.int16),
            dimensions=np.array([item.dimensions for item in objects], np.float32),
            positions_m=np.concatenate([s.positions_m for s in scenes]).astype(np.float32),
            quaternions=np.concatenate([s.quaternions for s in scenes]).astype(np.float32),
            fixtures=np.concatenate([s.fixtures for s in scenes]).astype(np.float32),
        )


def load_scenes(path: Path, mesh_folder: Path | None = None) -> list[Scene]:
    """Reads what :func:`save_scenes` wrote.

    Args:
        path: The file.
        mesh_folder: Where the meshes lie that the scenes name.

    Raises:
        DatasetError: The file is missing, damaged or not of that layout, or a mesh is missing or
            changed.
    """
    stored = read_arrays(path)
    try:
        objects = _load_objects(path, stored, mesh_folder)
        ends, fixture_ends = np.cumsum(stored["object_count"]), np.cumsum(stored["fixture_count"])
        scenes = []
        for index, (end, fixture_end) in enumerate(zip(ends, fixture_ends, strict=True)):
            rows = slice(int(end) - int(stored["object_count"][index]), int(end))
            walls = slice(int(fixture_end) - int(stored["fixture_count"][index]), int(fixture_end))
            scenes.append(
                Scene(
                    str(stored["kind_names"][stored["kind"][index]]),
                    tuple(objects[rows]),
                    stored["positions_m"][rows].astype(np.float64),
                    stored["quaternions"][rows].astype(np.float64),
                    stored["fixtures"][walls].astype(np.float64),
                )
            )
    except DatasetError:
        raise
    except (KeyError, ValueError, IndexError) as error:
        raise DatasetError(f"{path}: not a scene file: {error}") from error
    return scenes


def _load_objects(
    path: Path, stored: dict[str, NDArray[Any]], mesh_folder: Path | None
) -> list[SimObject]:
    meshes = []
    if len(stored["mesh_names"]):
        if mesh_folder is None:
            raise DatasetError(f"{path}: these scenes need the folder of their meshes")
        library = _library(str(mesh_folder))
        pairs = zip(stored["mesh_names"], stored["mesh_sha256"], strict=True)
        meshes = [library.find(str(name), str(digest)) for name, digest in pairs]
    result = []
    for row, family in enumerate(stored["family_names"][stored["family"]]):
        mesh = meshes[stored["mesh"][row]] if family == MESH else None
        result.append(SimObject(str(family), stored["dimensions"][row], mesh))
    return result
