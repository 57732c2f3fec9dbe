"""One grasp in the simulated world, and how it ends.

The hand starts open ``approach_m`` before the grasp, comes straight in, closes, lifts by
``lift_m`` and holds for ``hold_s``. Until the fingers close it may touch things lightly: an
attempt is a collision when the table or objects press on the hand with more than
``max_force_n``, or when any object has moved by more than ``max_push_m``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError
from repsam_ros.structures import Grasp
from repsam_ros.trials.film import SideCamera
from repsam_ros.trials.hand import HandSettings
from repsam_ros.trials.scene import TrialScene
from repsam_ros.trials.world import CHECK_STEPS, TIME_STEP_S, World

Array = NDArray[np.float64]

# An object that is this much higher has been lifted.
LIFTED_M = 0.1
# Fingers closer than this hold nothing.
CLOSED_M = 0.001
# Closing has ended when the fingers have been slower than this for so long.
STILL_M_S, STILL_S = 0.002, 0.06
CLOSE_S = 1.2
# An object this far behind the hand that does not touch it is left behind.
LEFT_M = 0.04
PERIOD_S = CHECK_STEPS * TIME_STEP_S
PICTURES_PER_S = 10
SHAKE_HZ = 3.0


class Outcome(str, Enum):
    """How an attempt ends; the first two before anything is executed."""

    NOT_DETECTED = "not_detected"
    NO_GRASP = "no_grasp"
    SUCCESS = "success"
    PREGRASP_COLLISION = "pregrasp_collision"
    APPROACH_COLLISION = "approach_collision"
    HIT_TABLE = "hit_table"
    MISSED = "missed"
    SLIPPED = "slipped"
    WRONG_OBJECT = "wrong_object"


@dataclass(frozen=True)
class ExecutionSettings:
    """How a grasp is executed.

    Attributes:
        hand: The hand.
        approach_m: Length of the straight approach.
        lift_m: How far the hand goes up.
        speed_m_s: Mean speed of approach and lift; they start and end gently.
        hold_s: How long the target must stay up.
        shake_m: While held, the hand swings sideways by this much, three times a second.
        max_force_n: Push against the hand that stops its approach.
        max_push_m: How far the approach may move an object.
    """

    hand: HandSettings = field(default_factory=HandSettings)
    approach_m: float = 0.1
    lift_m: float = 0.2
    speed_m_s: float = 0.2
    hold_s: float = 1.0
    shake_m: float = 0.0
    max_force_n: float = 10.0
    max_push_m: float = 0.01

    def __post_init__(self) -> None:
        positive = (self.speed_m_s, self.hold_s, self.max_force_n, self.max_push_m)
        if min(positive) <= 0 or min(self.approach_m, self.shake_m) < 0:
            raise ConfigError("lengths and times of an execution must be positive")
        if self.hand.shape.opening_m / 2 > CLOSE_S * self.hand.speed_m_s:
            raise ConfigError(
                f"speed_m_s of the hand: {self.hand.speed_m_s} does not close "
                f"{self.hand.shape.opening_m} m; fingers must close within {CLOSE_S} s"
            )
        if self.lift_m <= LIFTED_M:
            raise ConfigError(f"lift_m must be above {LIFTED_M}, got {self.lift_m}")


@dataclass(frozen=True)
class Attempt:
    """What came of a grasp.

    Attributes:
        outcome: Its end.
        lifted_m: How much higher the target was at the end.
        held_s: How long the target was held up after the lift.
        lifted_ids: Objects that were up at the end and in the hand, not on their way down.
        scene_after: The scene at rest, without the lifted objects.
    """

    outcome: Outcome
    lifted_m: float
    held_s: float
    lifted_ids: tuple[int, ...]
    scene_after: TrialScene


def execute(
    scene: TrialScene,
    grasp: Grasp,
    target_id: int,
    settings: ExecutionSettings | None = None,
    film: Callable[[NDArray[np.uint8]], None] | None = None,
) -> Attempt:
    """Executes a grasp on a scene; equal input gives equal output.

    Args:
        scene: Objects at rest.
        grasp: In the world frame.
        target_id: The object to be lifted.
        settings: Of the execution.
        film: Gets ten pictures, (H, W, 3) RGB, of each simulated second.

    Raises:
        BackendError: MuJoCo is not installed.
    """
    trial = _Trial(scene, grasp, target_id, settings or ExecutionSettings(), film)
    outcome = trial.run()
    lifted = tuple(scene.object_ids[row] for row in np.flatnonzero(trial.lifted()))
    after = scene.moved(trial.world.placed()).without(*lifted)
    if outcome is not Outcome.PREGRASP_COLLISION:
        after = after.at_rest()
    lifted_m = float(trial.rises_m()[trial.target])
    return Attempt(outcome, lifted_m, trial.held_s, lifted, after)


class _Trial:
    """The phases of one attempt, in order; each ends it with an outcome or leaves it open."""

    def __init__(
        self,
        scene: TrialScene,
        grasp: Grasp,
        target_id: int,
        settings: ExecutionSettings,
        film: Callable[[NDArray[np.uint8]], None] | None,
    ) -> None:
        self._settings = settings
        self._grasp_m = grasp.position_m
        self._start_m = grasp.position_m - settings.approach_m * grasp.rotation[:, 2]
        opening_m = min(grasp.width_m, settings.hand.shape.opening_m)
        self.world = World(scene, settings.hand, self._start_m, grasp.rotation, opening_m)
        self.target = scene.object_ids.index(target_id)
        self.held_s = 0.0
        self._resting_m = self.world.positions_m
        self._gripped = False
        self._film = film
        self._filmed = 0
        if film is not None:
            self._camera = SideCamera(scene, grasp.rotation, grasp.position_m)

    def run(self) -> Outcome:
        for phase in (self._begin, self._approach, self._close, self._lift, self._hold):
            outcome = phase()
            if outcome is not None:
                return outcome
        return Outcome.SUCCESS

    def rises_m(self) -> Array:
        """(N,) how much higher each object is than it was at rest."""
        return np.asarray(self.world.positions_m[:, 2] - self._resting_m[:, 2])

    def lifted(self) -> NDArray[np.bool_]:
        """(N,) which objects are up, and not falling: the hand carries them."""
        rises_m = self.rises_m()
        carried = np.isin(np.arange(len(rises_m)), list(self.world.carried()))
        return np.asarray((rises_m >= LIFTED_M) & carried)

    def _step(self, tcp_m: Array, closing: bool) -> None:
        self.world.step(tcp_m, closing)
        if self._film is not None and self.world.time_s * PICTURES_PER_S >= self._filmed:
            self._filmed += 1
            self._film(self._camera.picture(self.world))

    def _begin(self) -> Outcome | None:
        table, objects = self.world.overlaps()
        if objects:
            return Outcome.PREGRASP_COLLISION
        return Outcome.HIT_TABLE if table else None

    def _approach(self) -> Outcome | None:
        for share in _gentle(self._settings.approach_m / self._settings.speed_m_s):
            self._step(self._start_m + share * (self._grasp_m - self._start_m), closing=False)
            collision = self._collision()
            if collision is not None:
                return collision
        return None

    def _collision(self) -> Outcome | None:
        table_n, objects_n = self.world.forces_n
        if table_n + objects_n > self._settings.max_force_n:
            return Outcome.HIT_TABLE if table_n > objects_n else Outcome.APPROACH_COLLISION
        pushed_m = np.linalg.norm(self.world.positions_m - self._resting_m, axis=1)
        return Outcome.APPROACH_COLLISION if pushed_m.max() > self._settings.max_push_m else None

    def _close(self) -> Outcome | None:
        still_s, opening_m = 0.0, self.world.opening_m
        for _ in range(round(CLOSE_S / PERIOD_S)):
            self._step(self._grasp_m, closing=True)
            if self.world.forces_n[0] > self._settings.max_force_n:
                return Outcome.HIT_TABLE
            moved_m, opening_m = opening_m - self.world.opening_m, self.world.opening_m
            still_s = still_s + PERIOD_S if abs(moved_m) < STILL_M_S * PERIOD_S else 0.0
            if still_s > STILL_S:
                break
        first, second = self.world.touching()
        self._gripped = self.target in first & second
        return Outcome.MISSED if self.world.opening_m < CLOSED_M else None

    def _lift(self) -> Outcome | None:
        up = np.array([0.0, 0.0, self._settings.lift_m])
        for share in _gentle(self._settings.lift_m / self._settings.speed_m_s):
            self._step(self._grasp_m + share * up, closing=True)
            if self._all_left():
                return self._failure()
        return None if self.rises_m()[self.target] >= LIFTED_M else self._failure()

    def _hold(self) -> Outcome | None:
        top_m = self._grasp_m + np.array([0.0, 0.0, self._settings.lift_m])
        sideways = self.world.rotation[:, 0] * np.array([1.0, 1.0, 0.0])
        for number in range(round(self._settings.hold_s / PERIOD_S)):
            phase = 2 * np.pi * SHAKE_HZ * number * PERIOD_S
            self._step(top_m + self._settings.shake_m * np.sin(phase) * sideways, closing=True)
            if self.rises_m()[self.target] < LIFTED_M:
                return self._failure()
            self.held_s += PERIOD_S
        # Falling takes time: what left the hand a moment ago may still be high up.
        return None if self.lifted()[self.target] else self._failure()

    def _all_left(self) -> bool:
        """Whether nothing touches the hand any more, and the hand is well above the target."""
        first, second = self.world.touching()
        risen_m = self.world.tcp_m[2] - self._grasp_m[2]
        return not first | second and risen_m - self.rises_m()[self.target] > LEFT_M

    def _failure(self) -> Outcome:
        """Why the target is not up."""
        lifted = self.lifted()
        lifted[self.target] = False
        if lifted.any():
            return Outcome.WRONG_OBJECT
        return Outcome.SLIPPED if self._gripped else Outcome.MISSED


def _gentle(seconds: float) -> list[float]:
    """Shares of a way, one each period, that begin and end without a jerk."""
    count = max(1, round(seconds / PERIOD_S))
    at = (np.arange(count) + 1) / count
    return [float(share) for share in at**3 * (10 - 15 * at + 6 * at**2)]
