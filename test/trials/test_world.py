"""The hand moves as told, presses as hard as told, and leaves alone what it does not touch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from repsam_ros.simulation.objects import SimObject
from repsam_ros.simulation.scenes import Scene
from repsam_ros.trials.hand import HandSettings
from repsam_ros.trials.scene import SceneSettings, TrialScene, make_scene
from repsam_ros.trials.world import World

HAND = HandSettings()
DOWN = Rotation.from_euler("X", np.pi).as_matrix()
FAR_M = np.array([0.0, 0.0, 0.5])


def post(height_m: float) -> TrialScene:
    """A post of 40 x 40 mm in the middle of the table."""
    dimensions = np.zeros(8, np.float32)
    dimensions[:3] = 0.02, 0.02, height_m / 2
    item = SimObject("carton", dimensions)
    positions = np.array([[0.0, 0.0, height_m / 2]])
    quaternions = np.array([[1.0, 0.0, 0.0, 0.0]])
    scene = Scene("single", (item,), positions, quaternions, np.zeros((0, 6)))
    there = np.ones(1, bool)
    return TrialScene(1, scene, ~there, positions, quaternions, there)


def run(world: World, tcp_m: np.ndarray, seconds: float, closing: bool) -> None:
    until_s = world.time_s + seconds
    while world.time_s < until_s:
        world.step(tcp_m, closing)


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(["packed", "pile"]), st.integers(1000, 1999))
def test_objects_rest_beside_a_hand_that_does_nothing(kind: str, seed: int) -> None:
    scene = make_scene(SceneSettings(kind, "mixed", (3, 5)), seed)
    world = World(scene, HAND, FAR_M, DOWN, 0.08)
    run(world, FAR_M, 1.0, closing=False)
    assert np.abs(world.positions_m - scene.positions_m).max() < 3e-3
    before = world.positions_m
    run(world, FAR_M, 0.5, closing=False)
    assert np.abs(world.positions_m - before).max() < 1e-3
    assert world.forces_n == (0.0, 0.0)
    assert world.opening_m == pytest.approx(0.08, abs=1e-6)


@settings(max_examples=8, deadline=None)
@given(st.tuples(*[st.floats(-0.1, 0.1)] * 3), st.floats(0, 0.08))
def test_the_hand_goes_where_it_is_told(way_m: tuple[float, ...], opening_m: float) -> None:
    world = World(post(0.05), HAND, FAR_M, DOWN, opening_m)
    run(world, FAR_M + way_m, 0.8, closing=False)
    assert np.abs(world.tcp_m - FAR_M - way_m).max() < 1e-3
    assert world.opening_m == pytest.approx(opening_m, abs=1e-3)


@pytest.mark.parametrize("force_n", [5.0, 20.0])
@pytest.mark.parametrize("aside_m", [0.0, 0.012])
def test_both_fingers_press_with_the_force_of_the_grip(force_n: float, aside_m: float) -> None:
    tcp_m = np.array([0.0, aside_m, 0.03])
    world = World(post(0.05), HandSettings(force_n=force_n), tcp_m, DOWN, 0.08)
    run(world, tcp_m, 1.0, closing=True)
    assert world.opening_m == pytest.approx(0.04, abs=1e-3)
    assert world.touching() == ({0}, {0})
    table_n, objects_n = world.forces_n
    assert table_n == 0
    assert objects_n == pytest.approx(2 * force_n, rel=0.05)
    # Off the middle, the post is pushed there.
    assert world.positions_m[0, 1] == pytest.approx(aside_m, abs=1.5e-3)


def test_held_things_do_not_creep() -> None:
    tcp_m = np.array([0.0, 0.0, 0.07])
    world = World(post(0.09), HAND, tcp_m, DOWN, 0.06)
    run(world, tcp_m, 0.5, closing=True)
    up_m = tcp_m + np.array([0.0, 0.0, 0.1])
    for share in np.linspace(0, 1, 200):
        world.step(tcp_m + share * (up_m - tcp_m), closing=True)
    run(world, up_m, 0.3, closing=True)
    before = world.positions_m
    run(world, up_m, 2.0, closing=True)
    assert np.abs(world.positions_m - before).max() < 1e-3


def test_what_lies_on_a_held_thing_is_carried_and_its_neighbour_is_not() -> None:
    below, beside = post(0.05).start.objects[0], post(0.03).start.objects[0]
    items = (below, beside, beside)
    positions = np.array([[0, 0, 0.025], [0, 0, 0.065], [0.15, 0, 0.015]])
    quaternions = np.tile([1.0, 0.0, 0.0, 0.0], (3, 1))
    scene = Scene("packed", items, positions, quaternions, np.zeros((0, 6)))
    there = np.ones(3, bool)
    # From the side, so that the palm is beside the tower.
    sideways = Rotation.from_euler("Y", 0.5 * np.pi).as_matrix()
    tcp_m = np.array([0.0, 0.0, 0.03])
    world = World(
        TrialScene(1, scene, ~there, positions, quaternions, there), HAND, tcp_m, sideways, 0.06
    )
    assert world.carried() == set()
    run(world, tcp_m, 1.0, closing=True)
    assert world.touching() == ({0}, {0})
    assert world.carried() == {0, 1}


def test_a_hand_on_the_table_feels_it() -> None:
    start_m = np.array([0.2, 0.0, 0.05])
    world = World(post(0.05), HAND, start_m, DOWN, 0.04)
    assert world.overlaps() == (False, False)
    for share in np.linspace(0, 1, 100):
        world.step(start_m - share * np.array([0, 0, 0.045]), closing=False)
    table_n, objects_n = world.forces_n
    assert table_n > 20
    assert objects_n == 0
    inside = World(post(0.05), HAND, np.array([0.0, 0.02, 0.03]), DOWN, 0.04)
    assert inside.overlaps() == (False, True)
    below = World(post(0.05), HAND, np.array([0.2, 0.0, 0.0]), DOWN, 0.04)
    assert below.overlaps() == (True, False)


def test_boxes_of_the_hand_are_where_it_is() -> None:
    world = World(post(0.05), HAND, FAR_M, DOWN, 0.06)
    boxes = HAND.shape.boxes(0.06)
    wanted = {tuple(np.round(FAR_M + DOWN @ box.mean(axis=0), 6) + 0.0) for box in boxes}
    assert {tuple(np.round(pose[:, 3], 6) + 0.0) for _, pose in world.hand_boxes()} == wanted
