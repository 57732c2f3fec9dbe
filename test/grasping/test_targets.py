from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from repsam_ros.grasping.settings import SearchSettings
from repsam_ros.grasping.targets import estimate_normals, make_target


@given(seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_normals_of_a_plane_point_to_the_camera(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    flat = rng.uniform(-0.03, 0.03, (300, 2)) @ axes[:2] + rng.uniform(-1, 1, 3)
    viewpoint = flat.mean(axis=0) + axes[2] * rng.choice([-1, 1]) + axes[0] * 0.2
    normals = estimate_normals(flat, viewpoint, 0.012)
    assert np.allclose(np.abs(normals @ axes[2]), 1, atol=1e-6)
    assert ((viewpoint - flat) * normals).sum(axis=1).min() > 0


def test_normals_of_a_sphere_point_outwards() -> None:
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(4000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    facing = directions[directions[:, 2] < -0.3]
    normals = estimate_normals(facing * 0.05, np.array([0, 0, -1.0]), 0.012)
    assert np.median((normals * facing).sum(axis=1)) > 0.99


def test_a_lonely_point_faces_the_camera() -> None:
    points = np.array([[0, 0, 1.0], [1, 0, 1], [0, 1, 1], [1, 1, 1]])
    normals = estimate_normals(points, np.zeros(3), 0.01)
    assert np.allclose(normals, -points / np.linalg.norm(points, axis=1, keepdims=True))


def test_samples_are_spread_over_the_object_and_belong_to_its_outline(scenes) -> None:
    view = scenes.view(scenes.box((0.06, 0.2, 0.1)))
    target = make_target(view.cloud, 1, SearchSettings())
    assert target is not None and len(target.samples) == SearchSettings().samples_per_object
    assert not (target.samples % target.step).any()
    assert len(target.points_m) <= SearchSettings().max_points_per_object
    chosen = target.points_m[target.samples]
    assert (np.ptp(chosen, axis=0) > 0.7 * np.ptp(target.points_m, axis=0)).all()


def test_objects_with_a_handful_of_points_are_no_targets(scenes) -> None:
    view = scenes.view(scenes.box((0.06, 0.2, 0.1)))
    assert make_target(view.cloud, 9, SearchSettings()) is None
