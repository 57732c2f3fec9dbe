"""Grasps in the frames of other planners and of MoveIt, and back.

What differs is which axis approaches the object, which one closes, and where the origin lies. All
frames below are right-handed, so the approach and the closing axis fix the third.

``panda_hand``: as here (z approaches, y closes), origin at the hand's link, 0.1034 m behind the
tool centre point (franka_description: ``franka_hand.xacro``, ``tcp_xyz``). With a planning group
whose end effector is ``panda_hand``, this is MoveIt's grasp pose.
``contact_graspnet``: x closes, z approaches; origin at the base of the Panda hand, 0.1034 m behind
the middle between the contacts (Sundermeyer et al. 2021; ``build_6d_grasp``, ``gripper_depth``).
``graspnet``: x approaches, y closes; origin between the fingers, ``depth`` short of their tips
(Fang et al. 2020; graspnetAPI: ``plot_gripper_pro_max``, whose fingers end at x = depth).
``gpd``: columns approach, binormal (closes), axis; origin at the bottom of the hand between the
roots of the fingers, ``hand_depth`` = length of the fingers behind their tips (ten Pas et al.
2017; gpd: ``FingerHand::evaluateFingers``, ``Hand::calculateGraspPositions``).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError
from repsam_ros.grasping.gripper import Gripper
from repsam_ros.structures import Grasp

_X, _Y, _Z = np.eye(3)
# Axes x, y, z of each frame in the grasp frame, as columns.
_APPROACH_FIRST = np.stack((_Z, _Y, -_X), axis=1)
_AXES: dict[str, NDArray[np.float64]] = {
    "panda_hand": np.eye(3),
    "contact_graspnet": np.stack((_Y, -_X, _Z), axis=1),
    "graspnet": _APPROACH_FIRST,
    "gpd": _APPROACH_FIRST,
}
# z of each frame's origin in the grasp frame, from the hand and the depth of the grasp.
_ORIGINS: dict[str, Callable[[Gripper, float], float]] = {
    "panda_hand": lambda hand, depth_m: -hand.base_m,
    "contact_graspnet": lambda hand, depth_m: -hand.base_m,
    "graspnet": lambda hand, depth_m: hand.tip_m - depth_m,
    "gpd": lambda hand, depth_m: hand.palm_front_m,
}
CONVENTIONS = tuple(_AXES)


def pose_in(
    convention: str, grasp: Grasp, gripper: Gripper, depth_m: float | None = None
) -> NDArray[np.float64]:
    """(4, 4) pose of a grasp in another convention, in the frame of the cloud.

    Args:
        convention: One of ``CONVENTIONS``.
        depth_m: The ``depth`` that goes with a pose of ``graspnet``; the tool centre point is
            the origin when it is the hand's ``tip_m``, which is the default.

    Raises:
        ConfigError: No such convention.
    """
    axes, origin_m = _frame(convention, gripper, depth_m)
    pose = np.eye(4)
    pose[:3, :3] = grasp.rotation @ axes
    pose[:3, 3] = grasp.position_m + origin_m * grasp.rotation[:, 2]
    return pose


def grasp_from(
    convention: str,
    pose: NDArray[np.float64],
    gripper: Gripper,
    *,
    width_m: float,
    score: float,
    instance_id: int,
    depth_m: float | None = None,
) -> Grasp:
    """The grasp that a (4, 4) pose means in another convention; see :func:`pose_in`."""
    axes, origin_m = _frame(convention, gripper, depth_m)
    rotation = pose[:3, :3] @ axes.T
    position_m = pose[:3, 3] - origin_m * rotation[:, 2]
    return Grasp(position_m, rotation, width_m, score, instance_id)


def _frame(
    convention: str, gripper: Gripper, depth_m: float | None
) -> tuple[NDArray[np.float64], float]:
    if convention not in _AXES:
        known = ", ".join(CONVENTIONS)
        raise ConfigError(f"unknown grasp convention {convention!r}; there are: {known}")
    depth_m = gripper.tip_m if depth_m is None else depth_m
    return _AXES[convention], _ORIGINS[convention](gripper, depth_m)
