from __future__ import annotations

import numpy as np
import pytest

from repsam_ros.errors import ConfigError
from repsam_ros.grasping.gripper import Gripper


def test_fingers_stand_either_side_of_the_opening_and_end_at_the_tips() -> None:
    low, high = Gripper().boxes(0.05).transpose(1, 0, 2)
    assert high[0, 1] == pytest.approx(-0.025) and low[1, 1] == pytest.approx(0.025)
    assert np.allclose(high[:2, 2], 0.01)
    assert np.allclose(high[:2] - low[:2], (0.02, 0.012, 0.045))


def test_palm_sits_behind_the_fingers_and_sweeps_backwards() -> None:
    gripper = Gripper()
    still, swept = gripper.boxes(0.08)[2], gripper.boxes(0.08, approach_m=0.1)[2]
    assert np.allclose(still[1] - still[0], (0.06, 0.2, 0.07))
    assert still[1, 2] == pytest.approx(gripper.palm_front_m)
    assert np.allclose(swept[1], still[1])
    assert np.allclose(still[0] - swept[0], (0, 0, 0.1))


@pytest.mark.parametrize("bad", [{"opening_m": 0.0}, {"finger_length_m": -1.0}, {"tip_m": 0.05}])
def test_impossible_hands_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Gripper(**bad)
