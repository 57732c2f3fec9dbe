"""Scenes for grasp trials: graspable objects at rest on a table.

Objects, arrangement and physics are those of :mod:`repsam_ros.simulation`. World frame: z up,
table top at z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.simulation.arrangement import fall_down, slide_together
from repsam_ros.simulation.groups import make_groups
from repsam_ros.simulation.objects import SimObject, sample_object
from repsam_ros.simulation.scenes import Scene, rested
from repsam_ros.simulation.settling import Placed, settle

Array = NDArray[np.float64]

KINDS = ("packed", "pile", "single")
# Probability that an object is a vessel, and that a vessel is made of glass.
MATERIALS = {"opaque": (0.2, 0.0), "mixed": (0.5, 0.5), "glass": (0.85, 1.0)}
# An object whose two shorter sides lie between these fits between the fingers however it lies.
GRASPABLE_M = (0.015, 0.07)
LONGEST_M = 0.25
# Wider ones of these are held by the rim, while they stand upright.
RIMMED = ("cup", "bowl")
RIM_HEIGHT_M, RIM_WIDTH_M = 0.035, 0.2
UPRIGHT_COSINE = 0.95
# What lies farther from the middle of the table is taken away before the trial.
WORKSPACE_M = 0.3
# How far from the middle packed objects aim, and the mean gap to a neighbour; a third touch it.
SPREAD_M, GAP_M = 0.05, 0.02
ATTEMPTS = 100
REST_S = 3.0
_LOOK = 3


@dataclass(frozen=True)
class SceneSettings:
    """From what scenes are drawn.

    Attributes:
        kind: One of ``KINDS``: objects that stand or lie beside each other, a heap of objects
            that fell, one object.
        materials: A key of ``MATERIALS``.
        objects: Fewest and most objects; a single object is alone in any case.
    """

    kind: str = "packed"
    materials: str = "opaque"
    objects: tuple[int, int] = (5, 8)

    def __post_init__(self) -> None:
        for name, value, known in (
            ("kind", self.kind, KINDS),
            ("materials", self.materials, tuple(MATERIALS)),
        ):
            if value not in known:
                raise ConfigError(f"{name}: expected one of {', '.join(known)}, got {value!r}")
        if not 1 <= self.objects[0] <= self.objects[1]:
            raise ConfigError(f"objects: {self.objects}, expected 1 <= fewest <= most")


@dataclass(frozen=True)
class TrialScene:
    """Objects of a trial, where they started and where they are.

    The id of an object is its row plus one, whatever is taken away.

    Attributes:
        seed: Of the scene's looks: textures, room and light.
        start: All objects as they came to rest at first.
        glass: (N,) bool, made of glass.
        positions_m: (N, 3) float64, world_from_object translations now.
        quaternions: (N, 4) float64, world_from_object rotations now, scalar first.
        present: (N,) bool, still there.
    """

    seed: int
    start: Scene
    glass: NDArray[np.bool_]
    positions_m: Array
    quaternions: Array
    present: NDArray[np.bool_]

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects that are there."""
        return tuple(int(row) + 1 for row in np.flatnonzero(self.present))

    @property
    def look_seed(self) -> tuple[int, ...]:
        """Seed of everything in a picture that does not change from view to view."""
        return (self.seed, _LOOK)

    def family(self, object_id: int) -> str:
        """Kind of object, a name in ``repsam_ros.simulation.objects.FAMILIES``."""
        return self.start.objects[object_id - 1].family

    def is_glass(self, object_id: int) -> bool:
        """Whether the object is transparent."""
        return bool(self.glass[object_id - 1])

    def placed(self) -> list[Placed]:
        """The objects that are there, in the order of ``object_ids``."""
        return [
            Placed(self.start.objects[row], self.positions_m[row], self.quaternions[row])
            for row in np.flatnonzero(self.present)
        ]

    def without(self, *object_ids: int) -> TrialScene:
        """The scene after these objects are taken away; the others hang where they were."""
        present = self.present.copy()
        present[[object_id - 1 for object_id in object_ids]] = False
        return replace(self, present=present)

    def at_rest(self) -> TrialScene:
        """The scene after what was disturbed has come to rest; what left the table is gone."""
        if not self.present.any():
            return self
        ended, _ = settle(self.placed(), self.start.fixtures, REST_S, WORKSPACE_M, fine=True)
        scene = self.moved(ended)
        outside = np.abs(scene.positions_m[:, :2]).max(axis=1) > WORKSPACE_M
        fallen = scene.positions_m[:, 2] < 0
        return replace(scene, present=scene.present & ~outside & ~fallen)

    def moved(self, placed: list[Placed]) -> TrialScene:
        """The scene with the objects of :meth:`placed` at other poses."""
        positions, quaternions = self.positions_m.copy(), self.quaternions.copy()
        for row, one in zip(np.flatnonzero(self.present), placed, strict=True):
            positions[row], quaternions[row] = one.position_m, one.quaternion
        return replace(self, positions_m=positions, quaternions=quaternions)


def is_narrow(item: SimObject) -> bool:
    """Whether the hand can close around the object however it lies."""
    shortest, middle, longest = np.sort(2 * item.half_extents())
    low, high = GRASPABLE_M
    return bool(shortest >= low and middle <= high and longest <= LONGEST_M)


def has_rim(item: SimObject) -> bool:
    """Whether the hand can hold the standing object by its rim."""
    x, y, height = 2 * item.half_extents()
    return item.family in RIMMED and height >= RIM_HEIGHT_M and max(x, y) <= RIM_WIDTH_M


def make_scene(settings: SceneSettings, seed: int) -> TrialScene:
    """One settled scene; the same settings and seed give the same scene.

    Raises:
        BackendError: MuJoCo is not installed.
        DatasetError: Nothing came to rest.
    """
    fewest, most = (1, 1) if settings.kind == "single" else settings.objects
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([seed, attempt])
        count = int(rng.integers(fewest, most + 1))
        items = [_draw(rng, settings) for _ in range(count)]
        reach = WORKSPACE_M
        table = np.array([[[-reach, -reach, -0.01], [reach, reach, np.inf]]])
        if settings.kind == "pile":
            placed = fall_down(rng, items, rng.uniform(0.02, 0.09))
        else:
            placed = slide_together(rng, make_groups(rng, items, stacked=0.0), SPREAD_M, GAP_M)
        scene = rested(settings.kind, placed, np.zeros((0, 6)), table, fine=True)
        if scene is not None and len(scene.objects) >= fewest and _all_graspable(scene):
            return _trial_scene(scene, settings, seed, rng)
    raise DatasetError(f"no settled scene for seed {seed}")


def _draw(rng: np.random.Generator, settings: SceneSettings) -> SimObject:
    vessel = rng.random() < MATERIALS[settings.materials][0]
    while True:
        item = sample_object(rng)
        rim_up = settings.kind != "pile" and has_rim(item)
        if item.is_vessel == vessel and (is_narrow(item) or rim_up):
            return item


def _all_graspable(scene: Scene) -> bool:
    up = 1 - 2 * (scene.quaternions[:, 1] ** 2 + scene.quaternions[:, 2] ** 2)
    return all(
        is_narrow(item) or cosine > UPRIGHT_COSINE
        for item, cosine in zip(scene.objects, up, strict=True)
    )


def _trial_scene(
    scene: Scene, settings: SceneSettings, seed: int, rng: np.random.Generator
) -> TrialScene:
    vessels = np.array([item.is_vessel for item in scene.objects])
    glass = vessels & (rng.random(len(vessels)) < MATERIALS[settings.materials][1])
    present = np.ones(len(vessels), bool)
    return TrialScene(seed, scene, glass, scene.positions_m, scene.quaternions, present)
