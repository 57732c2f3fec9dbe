from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from repsam_ros.grasping.collisions import Obstacles, SeenSpace, greatest_opening_m
from repsam_ros.grasping.gripper import Gripper
from repsam_ros.grasping.settings import HandSettings
from repsam_ros.structures import Plane


def random_rotations(rng: np.random.Generator, count: int) -> np.ndarray:
    matrices = np.linalg.qr(rng.normal(size=(count, 3, 3)))[0]
    matrices[np.linalg.det(matrices) < 0, :, 0] *= -1
    return matrices


def obstacles_of(points_m: np.ndarray, ids: np.ndarray, settings: HandSettings) -> Obstacles:
    return Obstacles(points_m.astype(np.float32), ids.astype(np.uint32), None, settings)


@given(
    seed=st.integers(0, 2**31),
    approach_m=st.floats(0, 0.3),
    own=st.booleans(),
    far=st.sampled_from([0, 3000]),
)
@settings(max_examples=60, deadline=None)
def test_the_free_opening_agrees_with_the_boxes_of_the_hand(
    seed: int, approach_m: float, own: bool, far: int
) -> None:
    """Each opening is tested by going through the boxes one by one, in double precision.

    With thousands of points round about, the few that matter are found by blocks of space.
    """
    rng = np.random.default_rng(seed)
    rotations = random_rotations(rng, 6)
    positions = rng.uniform(-0.1, 0.1, (6, 3)) + 0.5
    openings = np.sort(rng.uniform(0.02, 0.08, (6, 3)), axis=1)
    openings[rng.random((6, 3)) < 0.2] = np.nan
    near = rng.uniform(-0.25, 0.25, (40, 3))
    around = rng.uniform(-1, 1, (far, 3)) * 1.5
    around = around[np.abs(around).max(axis=1) > 0.4]
    points = np.concatenate((near, near + 0.002, around)).astype(np.float32) + np.float32(0.5)
    hand = HandSettings(approach_m=approach_m)
    expected, unclear = np.full(6, np.nan), np.zeros(6, bool)
    for index in range(6):
        local = (points - positions[index]) @ rotations[index]
        for opening in openings[index][~np.isnan(openings[index])]:
            fingers = hand.gripper.boxes(opening, approach_m)
            inside = fingers[0].copy()
            inside[:, 1] = -opening / 2, opening / 2
            boxes = fingers if own else [*fingers, inside]
            depths = [np.minimum(local - low, high - local).min(axis=1) for low, high in boxes]
            unclear[index] |= bool((np.abs(depths) < 1e-5).any())
            if np.max(depths) <= 0:
                expected[index] = opening
    obstacles = obstacles_of(points, np.full(len(points), 1 if own else 2), hand)
    free = obstacles.free_opening_m(positions, rotations, openings, instance_id=1)
    assert np.array_equal(free[~unclear], expected[~unclear], equal_nan=True)


@pytest.mark.parametrize("count", [50, 5000])
def test_thinned_obstacles_leave_none_alone(count: int) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.05, 0.05, (count, 3)) * (1, 1, 0.3)
    obstacles = obstacles_of(points, np.arange(count), HandSettings())
    some = obstacles.thinned()
    assert np.array_equal(obstacles.points_m[some.ids.astype(int)], some.points_m)
    apart = np.linalg.norm(points[:, None] - some.points_m, axis=2).min(axis=1)
    assert apart.max() < 0.03
    assert len(some.ids) == 50 if count == 50 else len(some.ids) < 300
    assert (some.others(int(some.ids[0])).ids == some.ids[1:]).all()


def test_an_empty_scene_lets_the_hand_open_fully() -> None:
    empty = obstacles_of(np.zeros((0, 3)), np.zeros(0), HandSettings())
    positions, rotations = np.zeros((2, 3)), np.tile(np.eye(3), (2, 1, 1))
    openings = empty.openings_m(positions, rotations, np.array([0.03, 0.07]))
    assert openings[:, 0] == pytest.approx([0.03 + 0.016, 0.08])
    assert empty.free_opening_m(positions, rotations, openings, 1) == pytest.approx([0.08, 0.08])


@given(tilt_rad=st.floats(0, 1.2), roll_rad=st.floats(0, np.pi), height_m=st.floats(0.015, 0.1))
def test_the_table_limits_the_opening(tilt_rad: float, roll_rad: float, height_m: float) -> None:
    turn = Rotation.from_euler("x", np.pi + tilt_rad) * Rotation.from_euler("z", roll_rad)
    rotation = turn.as_matrix()
    place = np.array([[0, 0, height_m]])
    plane, gripper = Plane(np.array([0, 0, 1.0]), 0.0), Gripper()
    most_m = greatest_opening_m(place, rotation[None], plane, gripper, 0.005)[0]
    for opening_m in np.linspace(0, 0.08, 9):
        grid = np.stack(np.meshgrid(*[[0, 1]] * 3), axis=-1).reshape(-1, 3)
        low, high = gripper.boxes(opening_m)[:2].transpose(1, 0, 2)
        every = np.concatenate([np.where(bits, high, low) for bits in grid])
        lowest_m = (every @ rotation.T + place)[:, 2].min()
        if abs(lowest_m - 0.005) > 1e-6:
            assert (lowest_m > 0.005) == (opening_m <= most_m)


def test_space_behind_objects_is_unknown_and_before_them_is_known(scenes) -> None:
    view = scenes.view(scenes.box((0.1, 0.06, 0.12)))
    seen = SeenSpace(view.cloud, margin_m=0.02)

    def is_known(*place: float) -> bool:
        in_camera = (np.array(place) - view.camera_m) @ view.world_from_camera
        return bool(seen.look_up(in_camera)[0])

    assert is_known(0, -0.1, 0.05) and is_known(0, 0, 0.2) and is_known(0.12, 0, 0.03)
    assert not is_known(0, 0, 0.05) and not is_known(0, 0.08, 0.03)
    assert not is_known(0, 0, -0.1)
    assert not is_known(0, -5, 3)


def test_fingers_in_the_shadow_are_unknown(scenes) -> None:
    view = scenes.view(scenes.box((0.1, 0.06, 0.12)))
    seen = SeenSpace(view.cloud, margin_m=0.02)
    down = view.world_from_camera.T @ np.array([[1, 0, 0], [0, -1, 0], [0, 0, -1.0]])
    front_back = down
    sideways = down @ np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    position = (np.array([0, 0, 0.1]) - view.camera_m) @ view.world_from_camera
    known, behind = seen.finger_shares(
        np.stack([position] * 2),
        np.stack([front_back, sideways]),
        np.array([0.07, 0.12]),
        Gripper(),
        instance_id=1,
    )
    assert known[0].min() < 0.9 and known[1].min() > 0.95
    assert not behind.any()


def test_the_shadow_of_another_object_is_told_apart(scenes) -> None:
    view = scenes.view(scenes.box((0.2, 0.02, 0.15), (0, -0.05)), scenes.box((0.1, 0.05, 0.08)))
    seen = SeenSpace(view.cloud, margin_m=0.02)
    low = (np.array([0, 0.01, 0.03]) - view.camera_m) @ view.world_from_camera
    known, instance = seen.look_up(low)
    assert not known and instance == 1
    down = view.world_from_camera.T @ np.array([[1, 0, 0], [0, -1, 0], [0, 0, -1.0]])
    for own, expected in ((1, 0.0), (2, 1.0)):
        _, behind = seen.finger_shares(
            low[None], down[None], np.array([0.04]), Gripper(), instance_id=own
        )
        assert behind.max() == expected
