"""The physics of one attempt: objects on a table and a hand, under MuJoCo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from repsam_ros.simulation.settling import Placed, compiled, load_mujoco, physics_spec
from repsam_ros.trials.hand import AXES, FINGERS, HandSettings, add_drag, add_hand
from repsam_ros.trials.scene import TrialScene

Array = NDArray[np.float64]

TIME_STEP_S = 0.002
# Between two looks at contacts; forces are means over ``FORCE_WINDOW`` of them, as sensors filter.
CHECK_STEPS = 2
FORCE_WINDOW = 5
# Friction is this much stiffer than the normal force, so that held things do not creep.
IMPRATIO = 10.0
# Of the fingers that are to stay open.
HOLD_N_M = 5_000.0
TABLE, HAND = -1, -2


class World:
    """Objects, table and hand.

    Args:
        scene: The objects.
        hand: The hand.
        tcp_m: (3,) where its tool centre point starts.
        rotation: (3, 3) columns are the axes of the grasp frame; they do not turn.
        opening_m: Between the fingers at the start.

    Raises:
        BackendError: MuJoCo is not installed.
    """

    def __init__(
        self, scene: TrialScene, hand: HandSettings, tcp_m: Array, rotation: Array, opening_m: float
    ) -> None:
        mujoco = load_mujoco()
        self._mujoco = mujoco
        self.scene = scene
        self.hand = hand
        self.rotation = rotation
        placed = scene.placed()
        self._count = len(placed)
        spec = physics_spec(placed, scene.start.fixtures, fine=True)
        spec.option.timestep = TIME_STEP_S
        spec.option.impratio = IMPRATIO
        # MuJoCo's own narrow phase turns the normal where a finger's edge meets a round side by
        # 90 degrees; libccd does not.
        spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_NATIVECCD)
        # Several contacts of one pair: the default since MuJoCo 4.
        spec.option.enableflags |= int(getattr(mujoco.mjtEnableBit, "mjENBL_MULTICCD", 0))
        add_hand(spec, mujoco, hand, tcp_m, rotation)
        self._model = compiled(spec, self._count)
        add_drag(self._model, hand)
        self._data = mujoco.MjData(self._model)
        self._tcp_m = tcp_m
        self._opening_m = opening_m
        model = self._model
        self._axes = [model.joint(name).qposadr[0] for name in AXES]
        self._fingers = [model.joint(name).qposadr[0] for name in FINGERS]
        self._data.qpos[self._fingers] = opening_m / 2
        self._owner = np.array([self._owner_of(body) for body in model.geom_bodyid])
        self._hand_geoms = np.flatnonzero(self._owner == HAND)
        self._finger_geoms = [int(model.body(name).geomadr[0]) for name in FINGERS]
        self._forces: list[tuple[float, float]] = []
        mujoco.mj_forward(model, self._data)

    def _owner_of(self, body: int) -> int:
        if body == 0:
            return TABLE
        return body - 1 if body <= self._count else HAND

    @property
    def time_s(self) -> float:
        """Simulated time."""
        return float(self._data.time)

    @property
    def opening_m(self) -> float:
        """Between the fingers."""
        return float(self._data.qpos[self._fingers].sum())

    @property
    def tcp_m(self) -> Array:
        """(3,) tool centre point."""
        return np.asarray(self._tcp_m + self._data.qpos[self._axes])

    @property
    def positions_m(self) -> Array:
        """(N, 3) of the objects."""
        return np.array(self._data.qpos[: 7 * self._count].reshape(-1, 7)[:, :3])

    def placed(self) -> list[Placed]:
        """Objects and their poses, as :meth:`TrialScene.placed`."""
        poses = self._data.qpos[: 7 * self._count].reshape(-1, 7)
        return [
            Placed(one.item, pose[:3].copy(), pose[3:] / np.linalg.norm(pose[3:]))
            for one, pose in zip(self.scene.placed(), poses, strict=True)
        ]

    def hand_boxes(self) -> list[tuple[Array, Array]]:
        """Half sizes (3,) and (3, 4) world_from_box of palm and fingers."""
        data = self._data
        return [
            (
                self._model.geom_size[geom].copy(),
                np.column_stack([data.geom_xmat[geom].reshape(3, 3), data.geom_xpos[geom]]),
            )
            for geom in self._hand_geoms
        ]

    def step(self, tcp_m: Array, closing: bool) -> None:
        """``CHECK_STEPS`` time steps towards a tool centre point, with fingers closing or not."""
        self._data.ctrl[:3] = tcp_m - self._tcp_m
        open_n = HOLD_N_M * (self._opening_m - self.opening_m)
        self._data.ctrl[3] = -self.hand.force_n if closing else open_n
        self._mujoco.mj_step(self._model, self._data, nstep=CHECK_STEPS)
        self._forces = [*self._forces[1 - FORCE_WINDOW :], self._forces_now()]

    def _hand_contacts(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Rows of contacts with the hand, the geom of the hand and the owner of the other one."""
        geoms = self._data.contact.geom
        owners = self._owner[geoms]
        rows, side = np.nonzero(owners == HAND)
        return rows, geoms[rows, side], owners[rows, 1 - side]

    def _forces_now(self) -> tuple[float, float]:
        rows, _, others = self._hand_contacts()
        address = self._data.contact.efc_address[rows]
        pressed = address >= 0
        normal = self._data.efc_force[address[pressed]]
        on_table = others[pressed] == TABLE
        return float(normal[on_table].sum()), float(normal[~on_table].sum())

    @property
    def forces_n(self) -> tuple[float, float]:
        """Normal forces on the hand from the table and from objects, means over 20 ms."""
        table, objects = np.mean(self._forces, axis=0) if self._forces else (0.0, 0.0)
        return float(table), float(objects)

    def overlaps(self) -> tuple[bool, bool]:
        """Whether the hand reaches into the table, and into an object."""
        rows, _, others = self._hand_contacts()
        deep = self._data.contact.dist[rows] < 0
        return bool((deep & (others == TABLE)).any()), bool((deep & (others != TABLE)).any())

    def touching(self) -> tuple[set[int], set[int]]:
        """Rows of the objects that touch the first finger, and the second."""
        _, geoms, others = self._hand_contacts()
        first, second = (
            {int(other) for other in others[geoms == geom] if other >= 0}
            for geom in self._finger_geoms
        )
        return first, second

    def carried(self) -> set[int]:
        """Rows of the objects that the hand presses on, and of what these press on in turn.

        What falls touches nothing. What stands on the table beside something held is among them.
        """
        pressed = self._data.contact.efc_address >= 0
        owners = self._owner[self._data.contact.geom[pressed]]
        pairs = owners[(owners != TABLE).all(axis=1)]
        reached = {HAND}
        while fresh := set(pairs[np.isin(pairs, list(reached)).any(axis=1)].ravel()) - reached:
            reached |= fresh
        return {int(row) for row in reached - {HAND}}
