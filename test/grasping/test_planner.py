from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repsam_ros.config import load_config
from repsam_ros.errors import ConfigError
from repsam_ros.grasping.candidates import TERMS, Candidates
from repsam_ros.grasping.gripper import Gripper
from repsam_ros.grasping.planners import PlanResult
from repsam_ros.grasping.planners.antipodal import Config, ScoreWeights, build
from repsam_ros.grasping.slabs import Hands
from repsam_ros.perception.clouds import CloudSettings, build_cloud
from repsam_ros.structures import Grasp, Instances, Intrinsics, Plane, RgbdFrame, SceneCloud

SETTINGS = Config()


def plan(cloud: SceneCloud, settings: Config, targets: list[int] | None = None) -> PlanResult:
    return build(settings)(cloud, targets)


def plan_grasps(
    cloud: SceneCloud, settings: Config, targets: list[int] | None = None
) -> list[Grasp]:
    return plan(cloud, settings, targets).grasps


def clutter(scenes):
    return scenes.view(
        scenes.box((0.05, 0.14, 0.12), (-0.14, 0.02), 0.4),
        scenes.cylinder(0.03, 0.1, (0.0, -0.06)),
        scenes.box((0.04, 0.06, 0.05), (0.07, 0.0), 1.2),
        scenes.cylinder(0.02, 0.16, (0.03, 0.1)),
        scenes.box((0.2, 0.15, 0.03), (0.2, 0.16)),
    )


def points_in_hand(grasp: Grasp, points_m: np.ndarray, gripper: Gripper) -> int:
    """Points in the open hand and its approach, by going through its boxes."""
    local = (points_m.astype(np.float64) - grasp.position_m) @ grasp.rotation
    boxes = gripper.boxes(grasp.width_m, SETTINGS.approach_m)
    return sum(
        int(((local > low + 1e-5) & (local < high - 1e-5)).all(1).sum()) for low, high in boxes
    )


def lowest_corner_m(grasp: Grasp, plane: Plane, gripper: Gripper) -> float:
    corners = [
        np.where(np.array(bits), box[1], box[0])
        for box in gripper.boxes(grasp.width_m)
        for bits in np.ndindex(2, 2, 2)
    ]
    return float(plane.height_m(np.array(corners) @ grasp.rotation.T + grasp.position_m).min())


@pytest.mark.parametrize("yaw_rad", [0.0, 0.5, 1.0, 1.5, 2.2, 2.9])
def test_a_box_is_grasped_across_its_narrow_side(scenes, yaw_rad: float) -> None:
    box = scenes.box((0.045, 0.15, 0.08), (0.02, 0.03), yaw_rad)
    view = scenes.view(box)
    grasps = plan_grasps(view.cloud, SETTINGS)
    assert grasps
    position, rotation = view.in_world(grasps[0])
    # Within the friction cone, give or take the error of the normals.
    assert abs(rotation[:, 1] @ box.axis(0)) > np.cos(np.arctan(SETTINGS.friction) + 0.05)
    assert -rotation[2, 2] > np.cos(1.0)
    assert box.depth_inside_m(position) > 0
    assert 0.045 < grasps[0].width_m <= 0.08


@pytest.mark.parametrize("at_m", [(0.0, 0.0), (-0.15, 0.05), (0.1, -0.1)])
def test_a_cylinder_is_grasped_through_its_axis(scenes, at_m: tuple[float, float]) -> None:
    view = scenes.view(scenes.cylinder(0.027, 0.12, at_m))
    best = plan_grasps(view.cloud, SETTINGS)[0]
    position, rotation = view.in_world(best)
    sideways = np.cross(rotation[:, 1], (0, 0, 1.0))
    assert abs((position[:2] - at_m) @ sideways[:2]) < 0.016
    assert abs(rotation[2, 1]) < 0.35
    assert 0.054 < best.width_m <= 0.08


def test_first_grasps_clear_the_true_solids(scenes) -> None:
    view = clutter(scenes)
    grasps = plan_grasps(view.cloud, SETTINGS)
    for instance_id in (1, 2, 3, 4):
        best = next(grasp for grasp in grasps if grasp.instance_id == instance_id)
        position, rotation = view.in_world(best)
        for low, high in SETTINGS.gripper.boxes(best.width_m, SETTINGS.approach_m):
            axes = [np.linspace(*ends, 12) for ends in zip(low, high, strict=True)]
            places = np.stack(np.meshgrid(*axes), axis=-1) @ rotation.T + position
            assert max(solid.depth_inside_m(places).max() for solid in view.solids) < 0.005
            assert places[..., 2].min() > 0


def test_no_grasp_hits_a_known_point_or_the_table(scenes) -> None:
    cloud = clutter(scenes).cloud
    assert cloud.support_plane is not None
    grasps = plan_grasps(cloud, SETTINGS)
    assert {grasp.instance_id for grasp in grasps} == {1, 2, 3, 4}
    # Points below the clearance are the table and its noise.
    high = cloud.support_plane.height_m(cloud.points_m) >= SETTINGS.table_clearance_m
    for grasp in grasps:
        assert points_in_hand(grasp, cloud.points_m[high], SETTINGS.gripper) == 0
        lowest = lowest_corner_m(grasp, cloud.support_plane, SETTINGS.gripper)
        assert lowest >= SETTINGS.table_clearance_m - 1e-6


def test_grasps_are_well_formed_and_best_first(scenes) -> None:
    grasps = plan_grasps(clutter(scenes).cloud, SETTINGS)
    for grasp in grasps:
        assert np.allclose(grasp.rotation.T @ grasp.rotation, np.eye(3), atol=1e-9)
        assert np.linalg.det(grasp.rotation) == pytest.approx(1)
        assert 0 < grasp.width_m <= SETTINGS.gripper.opening_m
        assert 0 <= grasp.score <= 1
    scores = [grasp.score for grasp in grasps]
    assert scores == sorted(scores, reverse=True)
    counts = np.bincount([grasp.instance_id for grasp in grasps])
    assert counts.max() <= SETTINGS.max_grasps_per_object


def test_grasps_on_one_object_differ(scenes) -> None:
    grasps = plan_grasps(scenes.view(scenes.box((0.04, 0.12, 0.08))).cloud, SETTINGS)
    assert len(grasps) > 2
    for index, one in enumerate(grasps):
        for other in grasps[index + 1 :]:
            near = np.linalg.norm(one.position_m - other.position_m) < SETTINGS.similar_distance_m
            alike = one.rotation[:, 2] @ other.rotation[:, 2] > np.cos(SETTINGS.similar_angle_rad)
            closing = abs(one.rotation[:, 1] @ other.rotation[:, 1])
            assert not (near and alike and closing > np.cos(SETTINGS.similar_angle_rad))


def test_equal_input_gives_equal_grasps_and_is_left_alone(scenes) -> None:
    cloud = clutter(scenes).cloud
    for name in ("points_m", "colors", "instance_ids", "scores", "flags", "viewpoint_m"):
        getattr(cloud, name).setflags(write=False)
    first, second = plan(cloud, SETTINGS), plan(cloud, SETTINGS)
    assert first.rejected == second.rejected
    assert len(first.grasps) == len(second.grasps) > 0
    for one, other in zip(first.grasps, second.grasps, strict=True):
        assert np.array_equal(one.position_m, other.position_m)
        assert np.array_equal(one.rotation, other.rotation)
        assert (one.score, one.width_m) == (other.score, other.width_m)


@given(seed=st.integers(0, 2**31))
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_grasps_move_with_the_scene(scenes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation[:, 0] *= np.linalg.det(rotation)
    offset_m = rng.uniform(-1, 1, 3)
    # No cylinder: the narrow side of a circle is anywhere.
    cloud = scenes.view(
        scenes.box((0.05, 0.14, 0.1), (-0.1, 0.0), 0.4), scenes.box((0.03, 0.1, 0.12), (0.08, 0.0))
    ).cloud
    still = plan_grasps(cloud, SETTINGS)
    turned = plan_grasps(scenes.moved(cloud, rotation, offset_m), SETTINGS)
    # Rounding to single precision can tip a candidate that is on the edge.
    matched = 0
    for grasp in still:
        position = rotation @ grasp.position_m + offset_m
        matched += any(
            np.linalg.norm(position - other.position_m) < 1e-3
            and (rotation @ grasp.rotation[:, 2]) @ other.rotation[:, 2] > 0.999
            and abs((rotation @ grasp.rotation[:, 1]) @ other.rotation[:, 1]) > 0.999
            and abs(grasp.score - other.score) < 1e-3
            for other in turned
            if other.instance_id == grasp.instance_id
        )
    assert len(still) > 4 and matched >= 0.9 * len(still)


def test_too_wide_an_object_yields_nothing_and_says_why(scenes) -> None:
    result = plan(scenes.view(scenes.box((0.2, 0.18, 0.12))).cloud, SETTINGS)
    assert result.grasps == []
    assert result.rejected.most_common(1)[0][0] == "too_wide"


def test_a_hand_with_a_smaller_opening_finds_less(scenes) -> None:
    cloud = scenes.view(scenes.box((0.05, 0.15, 0.1))).cloud
    small = dataclasses.replace(SETTINGS, gripper=dataclasses.replace(Gripper(), opening_m=0.038))
    assert plan_grasps(cloud, SETTINGS)
    assert plan(cloud, small).grasps == []


def test_other_objects_are_in_the_way_even_when_not_planned_for(scenes) -> None:
    middle = scenes.box((0.05, 0.05, 0.08))
    walls = [scenes.box((0.03, 0.2, 0.2), (x, 0.0)) for x in (-0.055, 0.055)]
    alone = plan_grasps(scenes.view(middle).cloud, SETTINGS)
    result = plan(scenes.view(middle, *walls, elevation_rad=1.2).cloud, SETTINGS, targets=[1])
    assert alone
    assert {grasp.instance_id for grasp in result.grasps} <= {1}
    assert len(result.grasps) < len(alone)
    assert result.rejected["collision"] > 0


def test_targets_limit_the_plan(scenes) -> None:
    cloud = clutter(scenes).cloud
    only = plan_grasps(cloud, SETTINGS, targets=[2])
    assert only and {grasp.instance_id for grasp in only} == {2}
    everything = [grasp for grasp in plan_grasps(cloud, SETTINGS) if grasp.instance_id == 2]
    assert [grasp.score for grasp in only] == [grasp.score for grasp in everything]
    assert plan_grasps(cloud, SETTINGS, targets=[99]) == []


def test_without_a_plane_the_hand_comes_from_the_camera(scenes) -> None:
    view = scenes.view(scenes.cylinder(0.03, 0.12), table=False, noise_m=0.0005)
    assert view.cloud.support_plane is None
    grasps = plan_grasps(view.cloud, SETTINGS)
    assert grasps
    for grasp in grasps:
        ray = grasp.position_m / np.linalg.norm(grasp.position_m)
        assert grasp.rotation[:, 2] @ ray > 0.2
        assert points_in_hand(grasp, view.cloud.points_m, SETTINGS.gripper) == 0


def test_flat_things_that_the_table_protects_yield_nothing(scenes) -> None:
    card = scenes.view(scenes.box((0.05, 0.08, 0.009)), noise_m=0.0002)
    assert (card.cloud.instance_ids == 1).any()
    result = plan(card.cloud, SETTINGS)
    assert result.grasps == [] and result.rejected["table"] > 0


def test_tiny_objects_are_counted() -> None:
    points = np.random.default_rng(0).uniform(0, 0.01, (5, 3)).astype(np.float32) + 0.5
    result = plan(cloud_of(points, np.ones(5, np.uint32)), SETTINGS)
    assert result.grasps == [] and result.rejected == {"too_small": 1}


@pytest.mark.parametrize("count", [0, 30])
def test_a_cloud_without_objects_gives_no_grasps(count: int) -> None:
    points = np.random.default_rng(0).uniform(0, 1, (count, 3)).astype(np.float32)
    assert plan_grasps(cloud_of(points, np.zeros(count, np.uint32)), SETTINGS) == []


def test_points_in_one_place_or_on_a_line_do_no_harm() -> None:
    same = np.full((50, 3), 0.5, np.float32)
    line = same + np.linspace(0, 0.1, 50, dtype=np.float32)[:, None] * np.float32([1, 0, 0])
    for points in (same, line):
        plan_grasps(cloud_of(points, np.ones(50, np.uint32)), SETTINGS)


def cloud_of(points: np.ndarray, ids: np.ndarray) -> SceneCloud:
    count = len(points)
    return SceneCloud(
        points_m=points,
        colors=np.zeros((count, 3), np.uint8),
        instance_ids=ids,
        scores=np.zeros(count, np.float32),
        flags=np.zeros(count, np.uint8),
        stamp_ns=0,
        frame_id="camera",
    )


@pytest.mark.parametrize("name", TERMS)
def test_each_weight_counts_its_own_term(name: str) -> None:
    terms = np.arange(1, len(TERMS) + 1)[:, None] / 10
    one = Hands(np.zeros(1, np.intp), np.zeros(1, np.intp), np.zeros(1))
    found = Candidates(one, np.zeros((1, 3)), np.eye(3)[None], np.zeros(1), terms)
    weights = ScoreWeights(**{**dict.fromkeys(TERMS, 0.0), name: 2.0})
    assert weights.score(found) == pytest.approx(terms[TERMS.index(name)])


def test_settings_come_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "grasp_planner.yaml"
    path.write_text("depths_m: [0.01, 0.02]\nrolls: 4\ngripper: {opening_m: 0.1}\n")
    loaded = load_config(Config, path, ["weights.narrow=0.0"])
    assert loaded.depths_m == (0.01, 0.02)
    assert loaded.gripper.opening_m == 0.1 and loaded.weights.narrow == 0
    path.write_text("finger: 3\n")
    with pytest.raises(ConfigError, match="finger"):
        load_config(Config, path)


@pytest.mark.parametrize(
    "bad",
    [
        {"rolls": 0},
        {"depths_m": ()},
        {"depths_m": (0.01, -0.01)},
        {"depths_m": (0.05,)},
        {"width_reserve_m": 0.09},
        {"friction": 0.0},
        {"max_checked_per_object": -1},
    ],
)
def test_unusable_settings_are_refused(bad: dict) -> None:
    with pytest.raises(ConfigError):
        Config(**bad)
    with pytest.raises(ConfigError):
        ScoreWeights(antipodal=-1.0)


@pytest.mark.parametrize("name", ["learn4", "learn42"])
def test_real_frames_give_collision_free_grasps(shared_data: Path, name: str) -> None:
    folder = shared_data / "mosd_learn"
    depth = cv2.imread(str(folder / "depth" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
    raw = cv2.imread(str(folder / "label" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
    parts = np.where(raw >= 20, raw // 10, 0)
    ids, labels = np.unique(parts, return_inverse=True)
    labels = labels.reshape(parts.shape).astype(np.uint16)
    frame = RgbdFrame(
        np.zeros((*depth.shape, 3), np.uint8),
        (depth / 1000).astype(np.float32),
        Intrinsics(525.0, 525.0, 319.5, 239.5, 640, 480),
    )
    count = len(ids) - 1
    instances = Instances(labels, np.ones(count, np.float32), np.zeros((count, 2), np.float32))
    cloud = build_cloud(frame, instances, CloudSettings())
    assert cloud.support_plane is not None
    grasps = plan_grasps(cloud, SETTINGS)
    # learn4: two cereal boxes on edge; learn42: a mug on a tin that is wider than the hand.
    assert {grasp.instance_id for grasp in grasps} == ({1, 2} if name == "learn4" else {2})
    high = cloud.support_plane.height_m(cloud.points_m) >= SETTINGS.table_clearance_m
    for grasp in grasps:
        assert points_in_hand(grasp, cloud.points_m[high], SETTINGS.gripper) == 0
