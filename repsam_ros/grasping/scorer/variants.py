"""Grasps a little beside a given one, as far as the hand is free there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy.typing import ArrayLike

from repsam_ros.grasping.collisions import Obstacles, least_height_m
from repsam_ros.grasping.settings import HandSettings
from repsam_ros.structures import Grasp


def beside(grasp: Grasp, offset_m: ArrayLike, width_m: float) -> Grasp:
    """The grasp moved by ``offset_m`` in its own frame, opened by ``width_m``."""
    position_m = grasp.position_m + grasp.rotation @ np.asarray(offset_m, np.float64)
    return replace(grasp, position_m=position_m, width_m=width_m)


def free_grasps(
    grasps: Sequence[Grasp], obstacles: Obstacles, settings: HandSettings
) -> list[Grasp]:
    """Those that the hand comes to freely, as opened, within the workspace and over the table."""
    free: list[Grasp] = []
    for instance_id, group in groupby(grasps, key=lambda grasp: grasp.instance_id):
        some = list(group)
        positions_m = np.array([grasp.position_m for grasp in some])
        rotations = np.array([grasp.rotation for grasp in some])
        widths_m = np.array([grasp.width_m for grasp in some])
        openings_m = obstacles.free_opening_m(
            positions_m, rotations, widths_m[:, None], instance_id
        )
        usable = ~np.isnan(openings_m) & settings.in_workspace(positions_m)
        usable &= (widths_m > 0) & (widths_m <= settings.gripper.opening_m)
        if obstacles.plane is not None:
            heights_m = least_height_m(
                positions_m, rotations, widths_m, obstacles.plane, settings.gripper
            )
            usable &= heights_m >= settings.table_clearance_m
        free += [some[index] for index in np.flatnonzero(usable)]
    return free
