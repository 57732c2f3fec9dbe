"""Scenes of trials: graspable objects at rest, the same for a seed, changed without trace."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repsam_ros.errors import ConfigError
from repsam_ros.simulation.objects import sample_object
from repsam_ros.trials.scene import (
    KINDS,
    MATERIALS,
    SceneSettings,
    TrialScene,
    has_rim,
    is_narrow,
    make_scene,
)

kinds = st.sampled_from(KINDS)
seeds = st.integers(1000, 1999)


def poses(scene: TrialScene) -> bytes:
    return scene.positions_m.tobytes() + scene.quaternions.tobytes() + scene.glass.tobytes()


@settings(max_examples=12, deadline=None)
@given(kinds, st.sampled_from(list(MATERIALS)), seeds)
def test_scenes_are_as_asked_for(kind: str, materials: str, seed: int) -> None:
    asked = SceneSettings(kind, materials, (3, 5))
    scene = make_scene(asked, seed)
    fewest, most = (1, 1) if kind == "single" else asked.objects
    assert fewest <= len(scene.object_ids) <= most
    assert all(is_narrow(item) or has_rim(item) for item in scene.start.objects)
    vessels = np.array([item.is_vessel for item in scene.start.objects])
    assert not (scene.glass & ~vessels).any()
    if materials == "opaque":
        assert not scene.glass.any()
    if materials == "glass":
        assert np.array_equal(scene.glass, vessels)
    assert poses(make_scene(asked, seed)) == poses(scene)


@settings(max_examples=12, deadline=None)
@given(kinds, seeds)
def test_objects_at_rest_stay_at_rest(kind: str, seed: int) -> None:
    scene = make_scene(SceneSettings(kind, "mixed", (3, 5)), seed)
    after = scene.at_rest()
    assert after.object_ids == scene.object_ids
    assert np.abs(after.positions_m - scene.positions_m).max() < 3e-3


def test_seeds_differ() -> None:
    first, second = (make_scene(SceneSettings(), seed) for seed in (1000, 1001))
    assert poses(first) != poses(second)
    assert first.look_seed != second.look_seed


def test_what_is_taken_away_leaves_the_ids_of_the_others() -> None:
    scene = make_scene(SceneSettings("packed"), 1002)
    taken = scene.object_ids[1]
    left = scene.without(taken)
    assert left.object_ids == tuple(each for each in scene.object_ids if each != taken)
    assert scene.object_ids[1] == taken
    assert len(left.placed()) == len(left.object_ids)
    assert [left.family(each) for each in left.object_ids] == [
        scene.family(each) for each in left.object_ids
    ]
    assert scene.without(*scene.object_ids).at_rest().object_ids == ()


def test_what_lay_on_a_taken_object_falls() -> None:
    scene = make_scene(SceneSettings("pile", objects=(8, 8)), 1003)
    order = np.argsort(scene.positions_m[:, 2])
    above, below = int(order[-1]), [int(row) + 1 for row in order[:-1]]
    fallen = scene.without(*below).at_rest()
    assert fallen.positions_m[above, 2] < scene.positions_m[above, 2] - 0.005


def test_scenes_travel_between_processes() -> None:
    scene = make_scene(SceneSettings("pile", "mixed"), 1004)
    copy = pickle.loads(pickle.dumps(scene))
    assert poses(copy) == poses(scene)
    assert poses(copy.at_rest()) == poses(scene.at_rest())


@given(st.integers(0, 10_000))
def test_narrow_things_fit_the_hand_on_any_side(seed: int) -> None:
    item = sample_object(np.random.default_rng(seed))
    if is_narrow(item):
        sides = np.sort(2 * item.half_extents())
        # Lying on any face, one horizontal side is among the two shorter ones.
        assert sides[1] <= 0.07
        assert sides[0] >= 0.015


@pytest.mark.parametrize("changes", [{"kind": "tower"}, {"materials": "wood"}, {"objects": (5, 3)}])
def test_unknown_scenes_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        SceneSettings(**changes)
