"""Objects come to rest under MuJoCo's physics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from repsam_ros.errors import BackendError
from repsam_ros.simulation.objects import SimObject

Array = NDArray[np.float64]

TIME_STEP_S = 0.004
CHECK_S = 0.1
# An object that moves and turns less than this between checks, several times in a row, rests.
# Speeds will not do: contacts make a resting body tremble on the spot.
STILL_M, STILL_RAD = 5e-4, 8e-3
QUIET_CHECKS = 2
# What is deeper in another body went through a thin wall.
SUNK_M = 2e-3
# Sliding, torsional and rolling friction of dry cardboard, plastics and wood; without the last
# a ball or a lying can would roll for ever.
FRICTION = (0.6, 0.005, 0.0015)
# Air drag and the give of real surfaces, 1/s.
DRAG = 0.3


@dataclass(frozen=True)
class Placed:
    """An object and where it is: world_from_object translation (3,) and quaternion, w first."""

    item: SimObject
    position_m: Array
    quaternion: Array

    @property
    def rotation(self) -> Rotation:
        """world_from_object."""
        return Rotation.from_quat(np.roll(self.quaternion, -1))


def settle(
    placed: list[Placed], fixtures: Array, seconds: float, reach_m: float, fine: bool = False
) -> tuple[list[Placed], bool]:
    """Lets objects fall until they rest, at most for ``seconds`` of simulated time.

    Args:
        placed: Where they start, z up, table top at z = 0.
        fixtures: (F, 6) half sizes and centres of boxes that do not move.
        seconds: Limit.
        reach_m: What is farther from the origin along an axis does not have to rest.
        fine: With the finer collision parts.

    Returns:
        Where they end, and whether all of them rest without one sticking in another.

    Raises:
        BackendError: MuJoCo is not installed.
    """
    mujoco = load_mujoco()
    model = compiled(physics_spec(placed, fixtures, fine), len(placed))
    data = mujoco.MjData(model)
    steps = round(CHECK_S / TIME_STEP_S)
    before = data.qpos.reshape(-1, 7).copy()
    quiet = 0
    for _ in range(int(np.ceil(seconds / CHECK_S))):
        mujoco.mj_step(model, data, nstep=steps)
        after = data.qpos.reshape(-1, 7).copy()
        quiet = quiet + 1 if _is_still(before, after, reach_m) else 0
        before = after
        if quiet == QUIET_CHECKS:
            break
    mujoco.mj_forward(model, data)
    apart = data.contact.dist.min(initial=0.0) > -SUNK_M
    ended = [
        Placed(start.item, pose[:3], pose[3:] / np.linalg.norm(pose[3:]))
        for start, pose in zip(placed, before, strict=True)
    ]
    return ended, quiet == QUIET_CHECKS and bool(apart)


def _is_still(before: Array, after: Array, reach_m: float) -> bool:
    """Whether no (N, 7) pose within reach of the table changed."""
    near = np.abs(after[:, :3]).max(axis=1) < reach_m
    moved = np.linalg.norm((after - before)[near, :3], axis=1)
    # A quaternion and its negative are the same turn.
    alike = np.abs((after * before)[near, 3:].sum(axis=1))
    turned = 2 * np.arccos(np.clip(alike, 0, 1))
    return bool(np.all(moved < STILL_M) and np.all(turned < STILL_RAD))


def load_mujoco() -> Any:
    """The mujoco module.

    Raises:
        BackendError: It is not installed.
    """
    try:
        import mujoco
    except ImportError as error:
        raise BackendError("physics needs mujoco: pip install mujoco") from error
    return mujoco


def compiled(spec: Any, objects: int) -> Any:
    """The model of a :func:`physics_spec`, to which more may have been added since."""
    model = spec.compile()
    of_objects = slice(1, 1 + objects)
    rates = np.repeat(model.body_mass[of_objects], 3).reshape(-1, 3)
    damping = np.concatenate([rates, model.body_inertia[of_objects]], axis=1)
    model.dof_damping[: 6 * objects] = DRAG * damping.ravel()
    return model


def physics_spec(placed: list[Placed], fixtures: Array, fine: bool = False) -> Any:
    """MuJoCo's description of objects and (F, 6) fixtures; body ``i + 1`` is object ``i``."""
    mujoco = load_mujoco()
    spec = mujoco.MjSpec()
    spec.option.timestep = TIME_STEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    kinds = {
        "box": mujoco.mjtGeom.mjGEOM_BOX,
        "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
        "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
        "hull": mujoco.mjtGeom.mjGEOM_MESH,
    }
    common = {"friction": FRICTION, "solref": [0.01, 1.0]}
    world = spec.worldbody
    world.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[2, 2, 0.1], **common)
    for fixture in fixtures:
        world.add_geom(type=kinds["box"], size=fixture[:3], pos=fixture[3:], **common)
    for index, start in enumerate(placed):
        body = world.add_body(pos=start.position_m, quat=start.quaternion)
        body.add_freejoint()
        parts = start.item.collision_parts(fine)
        volume = sum(part.volume_m3 for part in parts)
        for number, part in enumerate(parts):
            geom = {
                "type": kinds[part.kind],
                "pos": part.pose[:, 3],
                "quat": _quaternion(mujoco, part.pose[:, :3]),
                "mass": start.item.mass_kg * part.volume_m3 / volume,
                "condim": 3 if part.kind in ("box", "hull") else 6,
                **common,
            }
            if part.vertices is not None:
                name = f"hull-{index}-{number}"
                spec.add_mesh(name=name, uservert=part.vertices.ravel(), maxhullvert=48)
                geom["meshname"] = name
            else:
                geom["size"] = [*part.size, 0.0][:3]
            body.add_geom(**geom)
    return spec


def _quaternion(mujoco: Any, rotation: Array) -> Array:
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(rotation).ravel())
    return quaternion
