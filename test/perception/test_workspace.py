"""Crop of a cloud in the robot's frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repsam_ros.errors import ConfigError
from repsam_ros.perception.workspace import WorkspaceSettings, cropped
from repsam_ros.structures import SceneCloud


def make_cloud(points_m: list, ids: list[int]) -> SceneCloud:
    count = len(ids)
    return SceneCloud(
        points_m=np.array(points_m, np.float32).reshape(count, 3),
        colors=np.full((count, 3), 7, np.uint8),
        instance_ids=np.array(ids, np.uint32),
        scores=np.where(ids, 0.9, 0).astype(np.float32),
        flags=np.where(ids, 4, 0).astype(np.uint8),
        stamp_ns=1,
        frame_id="base",
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
