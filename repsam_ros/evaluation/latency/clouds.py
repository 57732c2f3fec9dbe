"""The clouds of a crowded table, also as Open3D makes them object by object."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from repsam_ros.evaluation.latency.crowded_table import crowded_table
from repsam_ros.evaluation.latency.rounds import Subject, run_rounds, speed_up, summaries_ms
from repsam_ros.grasping.normals import estimate_normals
from repsam_ros.grasping.settings import SearchSettings
from repsam_ros.perception.clouds import CloudSettings, build_cloud
from repsam_ros.perception.voxels import gather, voxelise
from repsam_ros.structures import Instances, RgbdFrame

_WIDTH, _HEIGHT = 640, 480
# As people call it, with as many neighbours as its own tutorials take.
_NEIGHBOURS, _SIGMAS = 20, 2.0
_NORMAL_RADIUS_M = SearchSettings().normal_radius_m

_Way = Callable[[RgbdFrame, Instances, CloudSettings], object]


def time_clouds(settings: CloudSettings, rounds: int, warm_up: int) -> dict[str, Any]:
    """Times of the ways to make clouds of 20 objects at 640 x 480."""
    frame, instances = crowded_table(_WIDTH, _HEIGHT)
    ways: dict[str, _Way] = {
        "projection_and_voxels": _project,
        "complete": build_cloud,
        "complete_with_normals": _with_normals,
    }
    skipped = ""
    try:
        open3d = importlib.import_module("open3d")
    except (ImportError, OSError) as error:  # the second where a library of the system is missing
        skipped = f"open3d cannot be imported: {error}"
    else:
        ways["open3d"] = partial(_with_open3d, open3d)
    subjects = [
        Subject(name, partial(_timed, way, instances, settings), rounds)
        for name, way in ways.items()
    ]
    times = run_rounds(subjects, [frame], warm_up, "clouds")
    result: dict[str, Any] = {
        "objects": len(instances),
        "object_px": int(np.count_nonzero(instances.labels)),
        "times_ms": {name: summaries_ms(each)["clouds"] for name, each in times.items()},
    }
    if skipped:
        return result | {"skipped": {"open3d": skipped}}
    own, other = times["complete_with_normals"], times["open3d"]
    return result | {"speed_up_to_open3d": speed_up(own, "clouds", other, "clouds")}


def _timed(
    way: _Way, instances: Instances, settings: CloudSettings, frame: RgbdFrame
) -> dict[str, float]:
    start_s = time.perf_counter()
    way(frame, instances, settings)
    return {"clouds": time.perf_counter() - start_s}


def _project(frame: RgbdFrame, instances: Instances, settings: CloudSettings) -> object:
    pixels = (instances.labels > 0) & (frame.depth_m > 0)
    points = gather(frame, instances.labels, np.zeros_like(pixels), pixels)
    return voxelise(points, settings.object_voxel_m)


def _with_normals(frame: RgbdFrame, instances: Instances, settings: CloudSettings) -> object:
    cloud = build_cloud(frame, instances, settings)
    objects = cloud.instance_ids > 0
    return estimate_normals(
        cloud.points_m[objects], cloud.instance_ids[objects], cloud.viewpoint_m, _NORMAL_RADIUS_M
    )


def _with_open3d(
    open3d: Any, frame: RgbdFrame, instances: Instances, settings: CloudSettings
) -> object:
    """Objects alone: no surroundings, no support plane, no flying pixels removed."""
    camera = frame.intrinsics
    pinhole = open3d.camera.PinholeCameraIntrinsic(
        camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy
    )
    clouds = []
    for index in range(1, len(instances) + 1):
        depth_m = np.where(instances.labels == index, frame.depth_m, np.float32(0))
        cloud = open3d.geometry.PointCloud.create_from_depth_image(
            open3d.geometry.Image(depth_m),
            pinhole,
            depth_scale=1.0,
            depth_trunc=settings.max_depth_m,
        )
        cloud = cloud.voxel_down_sample(settings.object_voxel_m)
        cloud, _ = cloud.remove_statistical_outlier(_NEIGHBOURS, _SIGMAS)
        cloud.estimate_normals(
            open3d.geometry.KDTreeSearchParamHybrid(_NORMAL_RADIUS_M, _NEIGHBOURS)
        )
        cloud.orient_normals_towards_camera_location()
        clouds.append(cloud)
    return clouds
