from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from repsam_ros.grasping.normals import estimate_normals

RADIUS_M = 0.01


@given(seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_normals_of_a_plane_point_to_the_camera(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    flat = rng.uniform(-0.03, 0.03, (300, 2)) @ axes[:2] + rng.uniform(-1, 1, 3)
    viewpoint = flat.mean(axis=0) + axes[2] * rng.choice([-1, 1]) + axes[0] * 0.2
    normals = estimate_normals(flat, np.ones(300, int), viewpoint, 0.012)
    assert np.allclose(np.abs(normals @ axes[2]), 1, atol=1e-6)
    assert ((viewpoint - flat) * normals).sum(axis=1).min() > 0


def test_normals_of_a_sphere_point_outwards() -> None:
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(4000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    facing = directions[directions[:, 2] < -0.3]
    normals = estimate_normals(
        facing * 0.05, np.ones(len(facing), int), np.array([0, 0, -1.0]), 0.012
    )
    assert np.median((normals * facing).sum(axis=1)) > 0.99


def test_points_that_crowd_one_place_share_its_normal() -> None:
    rng = np.random.default_rng(0)
    flat = rng.uniform(-0.03, 0.03, (300, 3)) * (1, 1, 0)
    crowd = flat[0] + rng.normal(0, 1e-4, (100, 3)) * (1, 1, 20)
    points = np.concatenate((flat, crowd)) + (0, 0, 1)
    normals = estimate_normals(points, np.ones(400, int), np.zeros(3), 0.012)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    assert (normals[300:] @ (0, 0, -1.0)).min() > np.cos(np.deg2rad(25))


def test_a_lonely_point_faces_the_camera() -> None:
    points = np.array([[0, 0, 1.0], [1, 0, 1], [0, 1, 1], [1, 1, 1]])
    normals = estimate_normals(points, np.ones(4, int), np.zeros(3), 0.01)
    assert np.allclose(normals, -points / np.linalg.norm(points, axis=1, keepdims=True))


def test_normals_of_a_noisy_box_are_those_of_its_faces(scenes) -> None:
    box = scenes.box((0.1, 0.08, 0.12), yaw_rad=0.4)
    view = scenes.view(box, noise_m=0.001)
    cloud, mine = view.cloud, view.cloud.instance_ids == 1
    normals = estimate_normals(
        cloud.points_m[mine], cloud.instance_ids[mine], cloud.viewpoint_m, RADIUS_M
    )
    faces = np.stack([box.axis(0), box.axis(1), box.axis(2)], axis=1)
    cosines = np.abs(normals @ view.world_from_camera.T @ faces).max(axis=1)
    # Along the edges, neighbours of two faces mix.
    assert np.median(cosines) > np.cos(np.deg2rad(4))
    assert np.percentile(cosines, 15) > np.cos(np.deg2rad(25))


def test_each_object_has_normals_of_its_own_and_they_turn_with_it(scenes) -> None:
    view = scenes.view(scenes.box((0.1, 0.06, 0.1)), scenes.cylinder(0.03, 0.12, (0.08, -0.03)))
    rotation = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    rotation[:, 0] *= np.linalg.det(rotation)
    clouds = view.cloud, scenes.moved(view.cloud, rotation, np.array([0.3, -1.0, 0.2]))
    together, moved = (
        estimate_normals(
            cloud.points_m[objects], cloud.instance_ids[objects], cloud.viewpoint_m, RADIUS_M
        )
        for cloud in clouds
        for objects in [cloud.instance_ids > 0]
    )
    second = view.cloud.instance_ids == 2
    alone = estimate_normals(
        view.cloud.points_m[second],
        view.cloud.instance_ids[second],
        view.cloud.viewpoint_m,
        RADIUS_M,
    )
    assert np.array_equal(together[-len(alone) :], alone)
    turned = ((together @ rotation.T) * moved).sum(axis=1)
    # Rounding can put a point into the next cell of its image.
    assert np.percentile(turned, 3) > 0.99


def test_no_points_have_no_normals() -> None:
    assert estimate_normals(np.zeros((0, 3)), np.zeros(0, int), np.zeros(3), 0.01).shape == (0, 3)
