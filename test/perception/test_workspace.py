"""Crop and level of a cloud in the robot's frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repsam_ros.errors import ConfigError
from repsam_ros.perception.gravity import levelled
from repsam_ros.perception.workspace import WorkspaceSettings, cropped
from repsam_ros.structures import Plane, SceneCloud


def make_cloud(points_m: list, ids: list[int], plane: Plane | None = None) -> SceneCloud:
    count = len(ids)
    return SceneCloud(
        points_m=np.array(points_m, np.float32).reshape(count, 3),
        colors=np.full((count, 3), 7, np.uint8),
        instance_ids=np.array(ids, np.uint32),
        scores=np.where(ids, 0.9, 0).astype(np.float32),
        flags=np.where(ids, 4, 0).astype(np.uint8),
        stamp_ns=1,
        frame_id="base",
        support_plane=plane,
    )


BOX = WorkspaceSettings(True, (0, 0, 0), (1, 1, 1))


def test_an_object_stays_whole_or_becomes_surroundings() -> None:
    cloud = make_cloud(
        [[0.9, 0.5, 0.5], [1.05, 0.5, 0.5]]  # its mean lies inside
        + [[0.95, 0.5, 0.5], [1.4, 0.5, 0.5]]  # its mean outside
        + [[0.5, 0.5, 0.5], [0.5, 0.5, -0.1]],  # surroundings
        [1, 1, 2, 2, 0, 0],
    )
    result = cropped(cloud, BOX)
    assert result.instance_ids.tolist() == [1, 1, 0, 0]
    np.testing.assert_allclose(result.points_m[:, 0], [0.9, 1.05, 0.95, 0.5])
    np.testing.assert_allclose(result.scores, [0.9, 0.9, 0, 0])
    assert result.flags.tolist() == [4, 4, 0, 0]


@given(
    st.lists(
        st.tuples(*[st.floats(-2, 2, width=32)] * 3, st.integers(0, 3)), min_size=0, max_size=40
    )
)
def test_what_is_left_lies_inside_or_belongs_to_an_object_that_does(rows: list) -> None:
    cloud = make_cloud([row[:3] for row in rows], [row[3] for row in rows])
    result = cropped(cloud, BOX)
    context_m = result.points_m[result.instance_ids == 0]
    assert ((context_m >= 0) & (context_m <= 1)).all()
    for k in set(result.instance_ids.tolist()) - {0}:
        np.testing.assert_array_equal(
            result.points_m[result.instance_ids == k], cloud.points_m[cloud.instance_ids == k]
        )
    assert cropped(cloud, WorkspaceSettings()) is cloud


def test_a_box_inside_out_is_refused() -> None:
    with pytest.raises(ConfigError, match="must lie below"):
        WorkspaceSettings(True, (0, 0, 1), (1, 1, 0.5))


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
