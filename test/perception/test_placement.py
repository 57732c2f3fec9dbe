"""Clouds in another frame, and their plane made level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from repsam_ros.perception.placement import levelled, moved
from repsam_ros.structures import Plane, SceneCloud

unit_range = st.floats(-1, 1)


def make_cloud(
    points_m: list | np.ndarray, ids: list[int], plane: Plane | None = None
) -> SceneCloud:
    count = len(ids)
    return SceneCloud(
        points_m=np.array(points_m, np.float32).reshape(count, 3),
        colors=np.full((count, 3), 7, np.uint8),
        instance_ids=np.array(ids, np.uint32),
        scores=np.zeros(count, np.float32),
        flags=np.zeros(count, np.uint8),
        stamp_ns=1,
        frame_id="base",
        support_plane=plane,
    )


@given(st.integers(0, 1000), st.tuples(unit_range, unit_range, unit_range))
def test_moving_a_cloud_keeps_heights_and_view_distances(
    seed: int, shift: tuple[float, float, float]
) -> None:
    plane = Plane(np.array([0.6, 0.0, -0.8]), 0.4)
    cloud = make_cloud(np.random.default_rng(0).normal(size=(50, 3)), [1] * 50, plane)
    rotation = Rotation.random(random_state=seed).as_matrix()
    base = moved(cloud, "base_link", rotation, np.array(shift))
    assert base.frame_id == "base_link" and base.stamp_ns == cloud.stamp_ns
    assert base.support_plane is not None
    np.testing.assert_allclose(
        base.support_plane.height_m(base.points_m), plane.height_m(cloud.points_m), atol=1e-5
    )
    np.testing.assert_allclose(
        np.linalg.norm(base.points_m - base.viewpoint_m, axis=1),
        np.linalg.norm(cloud.points_m - cloud.viewpoint_m, axis=1),
        atol=1e-5,
    )


UP = np.array([0.0, 0.0, 1.0])


def test_the_plane_becomes_level_under_the_middle_of_the_objects() -> None:
    slope = np.array([0.1, 0, 1]) / np.hypot(0.1, 1)
    fitted = Plane(slope, 0.0)
    cloud = make_cloud([[0.5, 0, 0.2], [0.7, 0, 0.2]], [1, 1], fitted)
    plane = levelled(cloud, UP).support_plane
    assert plane is not None
    np.testing.assert_allclose(plane.normal, UP)
    middle_m = np.array([0.6, 0, 0.2])
    foot_m = middle_m - fitted.height_m(middle_m) * slope
    assert plane.height_m(foot_m) == pytest.approx(0, abs=1e-9)


def test_without_a_plane_the_objects_stand_on_their_lowest_points() -> None:
    heights = np.linspace(0.3, 0.4, 101)
    cloud = make_cloud([[0, 0, z] for z in heights], [1] * 101)
    plane = levelled(cloud, UP).support_plane
    assert plane is not None and plane.offset_m == pytest.approx(-0.301)
    nothing = make_cloud([[0, 0, 1]], [0])
    assert levelled(nothing, UP).support_plane is None
    empty = make_cloud([], [], Plane(UP, 0.0))
    assert levelled(empty, UP) is empty
