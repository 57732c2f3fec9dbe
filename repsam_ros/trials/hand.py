"""A free parallel-jaw hand for MuJoCo: three stiff slides, a palm, two coupled fingers.

The hand keeps its orientation, so slides along the world's axes carry it. A motor of limited
force drives both fingers alike, against the drag of a gear that sets their speed: what they meet
is pressed with that force, and hardly moves them. Nothing holds an object but the friction of the
pads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError
from repsam_ros.grasping.gripper import Gripper

Array = NDArray[np.float64]

AXES = ("hand-x", "hand-y", "hand-z")
FINGERS = ("finger-left", "finger-right")
GRIP = "grip"
PALM_KG, FINGER_KG = 1.0, 0.15
# A position servo as stiff as an arm's end: 5 kg pull it away by 2.5 mm.
STIFFNESS_N_M, DAMPING_NS_M, ARM_FORCE_N = 20_000.0, 400.0, 150.0
# Soft pads, pressed flat over some millimetres, resist turning too (metres: friction of a disc).
PAD_TORSION_M = 0.005


@dataclass(frozen=True)
class HandSettings:
    """How the hand moves and holds.

    Attributes:
        shape: Its sizes.
        force_n: With which each finger presses.
        friction: Coefficient of friction (mu) of the pads on any object.
        speed_m_s: Of each finger while it closes on nothing.
    """

    shape: Gripper = field(default_factory=Gripper)
    force_n: float = 20.0
    friction: float = 0.8
    speed_m_s: float = 0.1

    def __post_init__(self) -> None:
        if min(self.force_n, self.friction, self.speed_m_s) <= 0:
            raise ConfigError("force_n, friction and speed_m_s of the hand must be positive")


def add_hand(spec: Any, mujoco: Any, settings: HandSettings, tcp_m: Array, turn: Array) -> None:
    """Adds the hand, closed, to a world.

    Args:
        spec: Of the world.
        mujoco: The module.
        settings: Of the hand.
        tcp_m: (3,) tool centre point.
        turn: (3, 3) columns are the axes of the grasp frame.
    """
    slides = {"type": mujoco.mjtJoint.mjJNT_SLIDE}
    carriage = spec.worldbody.add_body(name="carriage", pos=tcp_m, gravcomp=1)
    for name, axis in zip(AXES, np.eye(3), strict=True):
        carriage.add_joint(name=name, axis=axis, **slides)
        servo = spec.add_actuator(
            name=name,
            target=name,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            forcerange=[-ARM_FORCE_N, ARM_FORCE_N],
        )
        servo.set_to_position(kp=STIFFNESS_N_M, kv=DAMPING_NS_M)
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(turn).ravel())
    hand = carriage.add_body(name="hand", quat=quaternion, gravcomp=1)
    boxes = settings.shape.boxes(0.0)
    # A contact with the hand has the friction of the pads, whatever it touches.
    skin = {
        "type": mujoco.mjtGeom.mjGEOM_BOX,
        "friction": [settings.friction, PAD_TORSION_M, 1e-4],
        "condim": 4,
        "priority": 1,
        "solref": [0.005, 1.0],
        "solimp": [0.95, 0.99, 0.001, 0.5, 2.0],
    }
    palm = boxes[2]
    hand.add_geom(pos=palm.mean(axis=0), size=np.diff(palm, axis=0)[0] / 2, mass=PALM_KG, **skin)
    for name, side, box in zip(FINGERS, (-1.0, 1.0), boxes[:2], strict=True):
        finger = hand.add_body(name=name, gravcomp=1)
        reach = [0.0, settings.shape.opening_m / 2]
        finger.add_joint(name=name, axis=[0, side, 0], range=reach, limited=True, **slides)
        size = np.diff(box, axis=0)[0] / 2
        finger.add_geom(pos=box.mean(axis=0), size=size, mass=FINGER_KG, **skin)
    _couple_fingers(spec, mujoco, settings)


def _couple_fingers(spec: Any, mujoco: Any, settings: HandSettings) -> None:
    spec.add_exclude(bodyname1=FINGERS[0], bodyname2=FINGERS[1])
    gear = spec.add_equality(
        type=mujoco.mjtEq.mjEQ_JOINT,
        name1=FINGERS[0],
        name2=FINGERS[1],
        objtype=mujoco.mjtObj.mjOBJ_JOINT,
        solref=[0.004, 1.0],
        solimp=[0.98, 0.995, 0.001, 0.5, 2.0],
    )
    gear.data[:5] = 0, 1, 0, 0, 0
    tendon = spec.add_tendon(name=GRIP)
    for name in FINGERS:
        tendon.wrap_joint(name, 1.0)
    motor = spec.add_actuator(
        name=GRIP,
        target=GRIP,
        trntype=mujoco.mjtTrn.mjTRN_TENDON,
        forcerange=[-settings.force_n, settings.force_n],
    )
    motor.set_to_motor()


def add_drag(model: Any, settings: HandSettings) -> None:
    """Gives the fingers of a compiled model their speed.

    Drag and not a servo of speed: such a servo, when at its limit, is not damped implicitly and
    lets light fingers hammer.
    """
    for name in FINGERS:
        model.dof_damping[model.joint(name).dofadr[0]] = settings.force_n / settings.speed_m_s
