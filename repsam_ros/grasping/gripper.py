"""The shape of a parallel-jaw hand, in the grasp frame.

Three axis-aligned boxes stand for the hand. Looking along x, with the approach axis z down::

          |<------ palm_width_m ------>|         z (down)
          +----------------------------+   tip_m - finger_length_m - palm_length_m
          |            palm            |
          +---+--+--------------+--+---+   tip_m - finger_length_m  (palm_front_m)
              |  |              |  |
              |  |      TCP     |  |       0
              +--+              +--+       tip_m
                 |<-- width --->|          y (right)

``width`` is the opening between the inner faces of the fingers. The tool centre point (TCP) lies
in the middle between the finger pads, ``tip_m`` short of the finger tips, as on the Panda hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repsam_ros.config import load_config, preset_path
from repsam_ros.errors import ConfigError


@dataclass(frozen=True)
class Gripper:
    """Sizes of a parallel-jaw hand; the defaults are close to a Franka hand.

    Attributes:
        opening_m: Largest opening between the inner faces of the fingers.
        finger_width_m: Finger size along x.
        finger_thickness_m: Finger size along y.
        finger_length_m: Finger size along z.
        palm_depth_m: Palm size along x.
        palm_width_m: Palm size along y.
        palm_length_m: Palm size along z.
        tip_m: How far the finger tips reach beyond the tool centre point, along z.
        base_m: From the tool centre point back to the origin of the hand's own link, along z;
            used for messages and other conventions only.
    """

    opening_m: float = 0.08
    finger_width_m: float = 0.02
    finger_thickness_m: float = 0.012
    finger_length_m: float = 0.045
    palm_depth_m: float = 0.06
    palm_width_m: float = 0.2
    palm_length_m: float = 0.07
    tip_m: float = 0.01
    base_m: float = 0.1034

    def __post_init__(self) -> None:
        sizes = (
            self.opening_m,
            self.finger_width_m,
            self.finger_thickness_m,
            self.finger_length_m,
            self.palm_depth_m,
            self.palm_width_m,
            self.palm_length_m,
        )
        if min(sizes) <= 0:
            raise ConfigError(f"sizes of the gripper must be positive, got {sizes}")
        if not 0 <= self.tip_m < self.finger_length_m:
            raise ConfigError("tip_m must be at least 0 and below finger_length_m")

    @property
    def palm_front_m(self) -> float:
        """z of the palm's face that the fingers are mounted on."""
        return self.tip_m - self.finger_length_m

    def boxes(self, width_m: float, approach_m: float = 0.0) -> NDArray[np.float64]:
        """(3, 2, 3) low and high corners of the two fingers and the palm in the grasp frame.

        Args:
            width_m: Opening between the fingers.
            approach_m: The palm box also covers what the whole hand sweeps over this distance
                along z before it arrives: the fingers' cross-section lies within the palm's.
        """
        inner, outer = width_m / 2, width_m / 2 + self.finger_thickness_m
        half_x, front = self.finger_width_m / 2, self.palm_front_m
        back = front - self.palm_length_m - approach_m
        palm = np.array([self.palm_depth_m / 2, self.palm_width_m / 2])
        return np.array(
            [
                [[-half_x, -outer, front], [half_x, -inner, self.tip_m]],
                [[-half_x, inner, front], [half_x, outer, self.tip_m]],
                [[-palm[0], -palm[1], back], [palm[0], palm[1], front]],
            ]
        )


def load_gripper(name_or_path: str | Path) -> Gripper:
    """The hand of ``config/grippers/NAME.yaml``, or of a YAML file of the user's.

    Raises:
        ConfigError: No such hand, an unknown size or an impossible one.
    """
    return load_config(Gripper, preset_path("gripper", "grippers", name_or_path))
