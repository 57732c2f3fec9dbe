from __future__ import annotations

import importlib.util

import numpy as np

from repsam_ros.evaluation.latency.clouds import time_clouds
from repsam_ros.evaluation.latency.crowded_table import crowded_table
from repsam_ros.perception.clouds import CloudSettings, build_cloud


def test_the_crowded_table_is_one() -> None:
    frame, instances = crowded_table(320, 240)
    assert set(np.unique(instances.labels)) == set(range(21))
    cloud = build_cloud(frame, instances, CloudSettings())
    assert len(np.unique(cloud.instance_ids)) == 21
    plane = cloud.support_plane
    assert plane is not None
    heights = plane.height_m(cloud.points_m[cloud.instance_ids > 0])
    assert 0.06 < heights.max() < 0.1


def test_all_ways_are_timed_and_what_is_missing_is_said() -> None:
    result = time_clouds(CloudSettings(), rounds=2, warm_up=0)
    ways = {"projection_and_voxels", "complete", "complete_with_normals"}
    times = result["times_ms"]
    assert ways <= times.keys() and result["objects"] == 20
    assert times["projection_and_voxels"]["median"] < times["complete_with_normals"]["median"]
    if importlib.util.find_spec("open3d") is None:
        assert "open3d cannot be imported" in result["skipped"]["open3d"]
    elif "skipped" not in result:
        assert result["speed_up_to_open3d"]["rounds"] == 2
