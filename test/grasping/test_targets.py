from __future__ import annotations

import numpy as np

from repsam_ros.grasping.settings import SearchSettings
from repsam_ros.grasping.targets import find_targets


def test_samples_are_spread_over_the_object_and_belong_to_its_outline(scenes) -> None:
    view = scenes.view(scenes.box((0.06, 0.2, 0.1)))
    target = find_targets(view.cloud, [1], SearchSettings())[1]
    assert len(target.samples) == SearchSettings().samples_per_object
    assert not (target.samples % target.step).any()
    assert len(target.points_m) <= SearchSettings().max_points_per_object
    chosen = target.points_m[target.samples]
    assert (np.ptp(chosen, axis=0) > 0.7 * np.ptp(target.points_m, axis=0)).all()


def test_objects_with_a_handful_of_points_are_no_targets(scenes) -> None:
    view = scenes.view(scenes.box((0.06, 0.2, 0.1)))
    assert 9 not in find_targets(view.cloud, [1, 9], SearchSettings())
