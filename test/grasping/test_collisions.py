from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from repsam_ros.grasping.collisions import SeenSpace, hits_points
from repsam_ros.grasping.gripper import Gripper


def random_rotations(rng: np.random.Generator, count: int) -> np.ndarray:
    matrices = np.linalg.qr(rng.normal(size=(count, 3, 3)))[0]
    matrices[np.linalg.det(matrices) < 0, :, 0] *= -1
    return matrices


@given(seed=st.integers(0, 2**31), approach_m=st.floats(0, 0.3))
@settings(max_examples=40, deadline=None)
def test_hits_agree_with_the_boxes_of_the_hand(seed: int, approach_m: float) -> None:
    rng = np.random.default_rng(seed)
    rotations = random_rotations(rng, 6)
    positions = rng.uniform(-0.1, 0.1, (6, 3)) + 0.5
    widths = rng.uniform(0.02, 0.08, 6)
    points = (rng.uniform(-0.25, 0.25, (40, 3)) + 0.5).astype(np.float32)
    gripper = Gripper()
    expected, unclear = np.zeros(6, bool), np.zeros(6, bool)
    for index in range(6):
        local = (points - positions[index]) @ rotations[index]
        for low, high in gripper.boxes(widths[index], approach_m):
            depth = np.minimum(local - low, high - local).min(axis=1)
            expected[index] |= (depth > 0).any()
            unclear[index] |= (np.abs(depth) < 1e-5).any()
    hits = hits_points(positions, rotations, widths, points, gripper, approach_m)
    assert (hits == expected)[~unclear].all()


def test_nothing_is_hit_in_an_empty_scene() -> None:
    hits = hits_points(
        np.zeros((2, 3)),
        np.tile(np.eye(3), (2, 1, 1)),
        np.full(2, 0.05),
        np.zeros((0, 3), np.float32),
        Gripper(),
        0.1,
    )
    assert not hits.any()


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
