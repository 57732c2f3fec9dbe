"""No grasp meets a known point, by half-spaces of the swept hand instead of the planner's test."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from repsam_ros.grasping.planners import open_planner, planner_config, planner_names
from repsam_ros.grasping.settings import HandSettings
from repsam_ros.perception.clouds import CloudSettings, build_cloud
from repsam_ros.simulation.frames import CALM, DESK, to_sample
from repsam_ros.simulation.rendering import FastRenderer, expose
from repsam_ros.simulation.scenes import settle_scene
from repsam_ros.simulation.views import draw_view
from repsam_ros.simulation.workers import one_thread
from repsam_ros.structures import Grasp, Instances, SceneCloud

pytest.importorskip("mujoco")
pytest.importorskip("embreex")

FIRST_SEED = 1000
ROUNDING_M = 1e-5


def clouds(count: int) -> Iterator[SceneCloud]:
    """Clouds of simulated scenes with noisy depth and true masks."""
    renderer = FastRenderer()
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        view = draw_view(settle_scene(seed), (seed, 2), DESK, (480, 640))
        with one_thread():
            sample = to_sample(str(seed), expose(renderer.render([view]), CALM, seed))
        objects = int(sample.labels.max())
        scores, prompts_px = np.ones(objects, np.float32), np.zeros((objects, 2), np.float32)
        instances = Instances(sample.labels, scores, prompts_px)
        yield build_cloud(sample.frame, instances, CloudSettings())


def inside(points_m: np.ndarray, box: np.ndarray, grasp: Grasp) -> np.ndarray:
    """Which points lie inside a box of the hand, from the planes through its corners."""
    bits = np.array(list(np.ndindex(2, 2, 2)), bool)
    corners = np.where(bits, box[1], box[0]) @ grasp.rotation.T + grasp.position_m
    planes = ConvexHull(corners).equations
    distances_m = points_m.astype(np.float64) @ planes[:, :3].T + planes[:, 3]
    return (distances_m < -ROUNDING_M).all(axis=1)


def check(cloud: SceneCloud, grasp: Grasp, settings: HandSettings) -> None:
    hand, points_m, ids = settings.gripper, cloud.points_m, cloud.instance_ids
    if cloud.support_plane is not None:
        high = cloud.support_plane.height_m(points_m) >= settings.table_clearance_m
        points_m, ids = points_m[high], ids[high]
    near = np.linalg.norm(points_m - grasp.position_m, axis=1) < 0.4
    points_m, ids = points_m[near], ids[near]
    boxes = hand.boxes(grasp.width_m, settings.approach_m)
    assert not any(inside(points_m, box, grasp).any() for box in boxes)
    between = boxes[0].copy()
    between[:, 1] = -grasp.width_m / 2, grasp.width_m / 2
    assert set(ids[inside(points_m, between, grasp)]) <= {grasp.instance_id}


@pytest.mark.parametrize(
    "count", [4, pytest.param(1000, marks=pytest.mark.slow)], ids=["few", "thousand"]
)
def test_no_grasp_meets_a_known_point(count: int) -> None:
    planners = {name: open_planner(name) for name in planner_names()}
    found = dict.fromkeys(planners, 0)
    for cloud in clouds(count):
        for name, plan in planners.items():
            for grasp in plan(cloud).grasps:
                check(cloud, grasp, planner_config(name)())
                found[name] += 1
    assert min(found.values()) >= count
