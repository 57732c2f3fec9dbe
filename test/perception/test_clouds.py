from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repsam_ros.errors import ConfigError, FrameError
from repsam_ros.perception.clouds import CloudSettings, build_cloud, project, unproject
from repsam_ros.structures import FLAG_MASK_EDGE, Instances, Intrinsics, RgbdFrame, SceneCloud

INTRINSICS = Intrinsics(fx=300.0, fy=310.0, cx=159.5, cy=119.5, width=320, height=240)
TILT_RAD = 0.7
CAMERA_HEIGHT_M = 0.6
BOX_LOW = np.array([-0.06, -0.04, 0.0])
BOX_HIGH = np.array([0.06, 0.04, 0.1])


def camera_pose() -> tuple[np.ndarray, np.ndarray]:
    """Rotation world_from_camera and position of a camera that looks down at the origin."""
    forward = np.array([0.0, np.cos(TILT_RAD), -np.sin(TILT_RAD)])
    right = np.array([1.0, 0.0, 0.0])
    rotation = np.stack((right, np.cross(forward, right), forward), axis=1)
    position = -forward * (CAMERA_HEIGHT_M / np.sin(TILT_RAD))
    return rotation, position


def box_on_table(mask_grow_px: int = 0, noise_m: float = 0.0) -> tuple[RgbdFrame, Instances]:
    """A ray-cast box on a table; the mask can be grown or shrunk against the truth."""
    rotation, position = camera_pose()
    ones = np.ones((INTRINSICS.height, INTRINSICS.width), np.float32)
    rays = unproject(ones, INTRINSICS).astype(np.float64) @ rotation.T
    with np.errstate(divide="ignore", invalid="ignore"):
        table = np.where(rays[..., 2] < 0, -position[2] / rays[..., 2], np.inf)
        near, far = (BOX_LOW - position) / rays, (BOX_HIGH - position) / rays
    entry = np.minimum(near, far).max(axis=-1)
    hit = entry <= np.maximum(near, far).min(axis=-1)
    depth = np.where(hit, entry, table)
    depth[depth > 3] = 0
    depth += np.random.default_rng(0).normal(0, noise_m, depth.shape) * (depth > 0)
    mask = hit.astype(np.uint8)
    if mask_grow_px:
        kernel = np.ones((2 * abs(mask_grow_px) + 1,) * 2, np.uint8)
        mask = cv2.dilate(mask, kernel) if mask_grow_px > 0 else cv2.erode(mask, kernel)
    color = np.zeros((*depth.shape, 3), np.uint8)
    color[mask > 0] = (200, 100, 50)
    frame = RgbdFrame(color, depth.astype(np.float32), INTRINSICS, stamp_ns=7, frame_id="optical")
    instances = Instances(
        mask.astype(np.uint16), np.array([0.75], np.float32), np.zeros((1, 2), np.float32)
    )
    return frame, instances


def in_world(points_m: np.ndarray) -> np.ndarray:
    rotation, position = camera_pose()
    return points_m @ rotation.T + position


def distance_to_box_m(points_m: np.ndarray) -> np.ndarray:
    outside = np.maximum(np.maximum(BOX_LOW - points_m, points_m - BOX_HIGH), 0)
    inside = np.minimum(points_m - BOX_LOW, BOX_HIGH - points_m).min(axis=-1)
    return np.linalg.norm(outside, axis=-1) + np.maximum(inside, 0)


@given(
    fx=st.floats(50, 2000),
    fy=st.floats(50, 2000),
    cx=st.floats(-50, 100),
    cy=st.floats(-50, 100),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=50, deadline=None)
def test_project_inverts_unproject(fx: float, fy: float, cx: float, cy: float, seed: int) -> None:
    intrinsics = Intrinsics(fx, fy, cx, cy, width=13, height=9)
    depth_m = np.random.default_rng(seed).uniform(0.1, 10, (9, 13)).astype(np.float32)
    pixels = project(unproject(depth_m, intrinsics), intrinsics)
    columns, rows = np.meshgrid(np.arange(13), np.arange(9))
    assert np.allclose(pixels, np.stack((columns, rows), axis=-1), atol=1e-3)


def test_pixel_centres_lie_at_integers() -> None:
    depth_m = np.full((240, 320), 2.0, np.float32)
    points = unproject(depth_m, INTRINSICS)
    assert points[0, 0] == pytest.approx([2 * -159.5 / 300, 2 * -119.5 / 310, 2])


def test_unproject_gives_zeros_for_invalid_depth_and_checks_the_size() -> None:
    depth_m = np.full((240, 320), np.nan, np.float32)
    depth_m[0, 0], depth_m[0, 1] = np.inf, 0
    assert not unproject(depth_m, INTRINSICS).any()
    with pytest.raises(FrameError, match="size|expected"):
        unproject(depth_m[:10], INTRINSICS)


def test_points_behind_the_lens_project_nowhere() -> None:
    assert np.isnan(project(np.array([[0.1, 0.1, -1.0], [0.1, 0.1, 0.0]]), INTRINSICS)).all()


def test_plane_and_object_match_the_scene() -> None:
    cloud = build_cloud(*box_on_table(noise_m=0.001), CloudSettings())
    rotation, position = camera_pose()
    assert cloud.support_plane is not None
    assert cloud.support_plane.normal @ rotation[:, :].T[:, 2] == pytest.approx(1, abs=1e-4)
    assert cloud.support_plane.offset_m == pytest.approx(position[2], abs=1e-3)
    box = in_world(cloud.points_m[cloud.instance_ids == 1])
    assert len(box) > 500
    assert distance_to_box_m(box).max() < 0.006
    assert box[:, 2].min() > CloudSettings().plane_margin_m - 1e-4
    assert np.ptp(box[:, 0]) == pytest.approx(0.12, abs=0.01)
    assert (cloud.colors[cloud.instance_ids == 1] == (200, 100, 50)).all()
    assert (cloud.scores == np.where(cloud.instance_ids == 1, np.float32(0.75), 0)).all()
    assert (cloud.stamp_ns, cloud.frame_id) == (7, "optical")


@pytest.mark.parametrize("grow_px", [-4, -2, -1, 1, 2, 4])
def test_masks_that_are_a_little_off_leave_no_rim(grow_px: int) -> None:
    cloud = build_cloud(*box_on_table(mask_grow_px=grow_px), CloudSettings())
    world = in_world(cloud.points_m)
    is_object = cloud.instance_ids == 1
    assert distance_to_box_m(world[is_object]).max() < 0.006
    on_top = ~is_object & (world[:, 2] > 0.01)
    assert on_top.sum() < 5  # slanted corners shrink by more than the band


def test_an_object_is_as_wide_as_its_depth_and_not_as_its_mask() -> None:
    truth = build_cloud(*box_on_table(), CloudSettings())
    shrunk = build_cloud(*box_on_table(mask_grow_px=-4), CloudSettings())
    as_masked = build_cloud(*box_on_table(mask_grow_px=-4), CloudSettings(outline_px=0))

    def width_m(cloud: SceneCloud) -> float:
        return float(np.ptp(in_world(cloud.points_m[cloud.instance_ids == 1])[:, 0]))

    assert width_m(shrunk) == pytest.approx(width_m(truth), abs=0.003)
    assert width_m(as_masked) < width_m(truth) - 0.01


def test_flying_pixels_disappear() -> None:
    frame, instances = box_on_table()
    depth_m = frame.depth_m.copy()
    top_row = np.flatnonzero((instances.labels > 0).any(axis=1))[0]
    columns = np.flatnonzero(instances.labels[top_row + 1])
    depth_m[top_row] = np.where(
        instances.labels[top_row] > 0, depth_m[top_row] + 0.06, depth_m[top_row]
    )
    depth_m[top_row - 1, columns] -= 0.06
    cloud = build_cloud(dataclasses.replace(frame, depth_m=depth_m), instances, CloudSettings())
    world = in_world(cloud.points_m)
    away = np.minimum(distance_to_box_m(world), np.abs(world[:, 2]))
    assert away.max() < 0.006


def test_mask_edges_are_flagged_and_interiors_are_not() -> None:
    frame, instances = box_on_table()
    cloud = build_cloud(frame, instances, CloudSettings(plane_margin_m=0.0, outlier_radius_m=0.0))
    flagged = (cloud.flags & FLAG_MASK_EDGE) > 0
    assert not flagged[cloud.instance_ids == 0].any()
    pixels = np.round(project(cloud.points_m, INTRINSICS)).astype(int)
    rows, columns = np.nonzero(instances.labels)
    deep = (pixels[:, 1] > rows.min() + 12) & (pixels[:, 1] < rows.max() - 12)
    deep &= (pixels[:, 0] > columns.min() + 20) & (pixels[:, 0] < columns.max() - 20)
    deep &= cloud.instance_ids == 1
    assert flagged.any() and deep.any() and not flagged[deep].any()


def test_outliers_are_removed_from_objects() -> None:
    frame, instances = box_on_table()
    depth_m = frame.depth_m.copy()
    rows, columns = np.nonzero(instances.labels)
    middle = int(rows.mean()), int(columns.mean())
    depth_m[middle[0] : middle[0] + 3, middle[1] : middle[1] + 3] -= 0.08
    noisy = dataclasses.replace(frame, depth_m=depth_m)
    settings_off = CloudSettings(outlier_radius_m=0.0)
    with_outliers = build_cloud(noisy, instances, settings_off)
    cleaned = build_cloud(noisy, instances, CloudSettings())

    def worst_m(cloud_points: np.ndarray) -> float:
        return float(distance_to_box_m(in_world(cloud_points)).max())

    assert worst_m(with_outliers.points_m[with_outliers.instance_ids == 1]) > 0.05
    assert worst_m(cleaned.points_m[cleaned.instance_ids == 1]) < 0.01


def test_voxels_thin_the_cloud_to_their_size() -> None:
    cloud = build_cloud(*box_on_table(), CloudSettings(object_voxel_m=0.01, context_voxel_m=0.02))
    for instance_id, voxel_m in ((1, 0.01), (0, 0.02)):
        points = cloud.points_m[cloud.instance_ids == instance_id]
        cells = np.floor(points / np.float32(voxel_m) + 1e-4).astype(int)
        assert len(np.unique(cells, axis=0)) > 0.97 * len(points)


def test_same_frame_gives_the_same_cloud() -> None:
    first = build_cloud(*box_on_table(noise_m=0.002), CloudSettings())
    second = build_cloud(*box_on_table(noise_m=0.002), CloudSettings())
    assert np.array_equal(first.points_m, second.points_m)
    assert first.support_plane is not None and second.support_plane is not None
    assert np.array_equal(first.support_plane.normal, second.support_plane.normal)


def test_input_is_left_alone() -> None:
    frame, instances = box_on_table()
    for array in (frame.depth_m, frame.color, instances.labels):
        array.setflags(write=False)
    build_cloud(frame, instances, CloudSettings())


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, 0.01, 50.0])
def test_a_frame_without_usable_depth_gives_an_empty_cloud(value: float) -> None:
    frame, instances = box_on_table()
    blind = dataclasses.replace(frame, depth_m=np.full_like(frame.depth_m, value))
    cloud = build_cloud(blind, instances, CloudSettings())
    assert len(cloud.points_m) == 0
    assert cloud.support_plane is None


def test_points_are_finite_where_depth_is_not() -> None:
    frame, instances = box_on_table()
    depth_m = frame.depth_m.copy()
    depth_m[::7, ::5] = np.nan
    depth_m[::11, ::3] = np.inf
    cloud = build_cloud(dataclasses.replace(frame, depth_m=depth_m), instances, CloudSettings())
    assert np.isfinite(cloud.points_m).all() and (cloud.instance_ids == 1).any()


def test_no_plane_in_a_scene_that_has_none() -> None:
    frame, instances = box_on_table()
    depth_m = np.random.default_rng(0).uniform(0.4, 1.5, frame.depth_m.shape).astype(np.float32)
    settings_raw = CloudSettings(edge_px=0)
    rough = build_cloud(dataclasses.replace(frame, depth_m=depth_m), instances, settings_raw)
    assert rough.support_plane is None
    assert len(rough.points_m) > 0


def test_the_table_beats_a_bigger_wall_behind_it() -> None:
    frame, instances = box_on_table()
    rotation, position = camera_pose()
    rays = unproject(np.ones_like(frame.depth_m), INTRINSICS) @ rotation.T
    wall_m = np.where(rays[..., 1] > 0, (0.1 - position[1]) / rays[..., 1], np.inf)
    depth_m = np.minimum(np.where(frame.depth_m > 0, frame.depth_m, np.inf), wall_m)
    depth_m[(rays * depth_m[..., None] + position)[..., 1] < -0.1] = 0
    walled = dataclasses.replace(frame, depth_m=depth_m.astype(np.float32))
    cloud = build_cloud(walled, instances, CloudSettings())
    context = in_world(cloud.points_m[cloud.instance_ids == 0])
    assert (context[:, 1] > 0.09).sum() > (np.abs(context[:, 2]) < 0.01).sum()
    assert cloud.support_plane is not None
    assert (rotation @ cloud.support_plane.normal)[2] == pytest.approx(1, abs=1e-3)


def test_tiny_instances_become_context() -> None:
    frame, _ = box_on_table()
    labels = np.zeros((240, 320), np.uint16)
    labels[100:103, 100:103] = 1
    speck = Instances(labels, np.ones(1, np.float32), np.zeros((1, 2), np.float32))
    cloud = build_cloud(frame, speck, CloudSettings())
    assert len(cloud.points_m) and not cloud.instance_ids.any()


def test_label_map_of_another_size_is_refused() -> None:
    frame, _ = box_on_table()
    empty = np.zeros((0,), np.float32)
    other = Instances(np.zeros((10, 10), np.uint16), empty, np.zeros((0, 2), np.float32))
    with pytest.raises(FrameError) as error:
        build_cloud(frame, other, CloudSettings())
    assert error.value.cause == "size_mismatch"


@pytest.mark.parametrize(
    "bad",
    [{"object_voxel_m": 0.0}, {"min_depth_m": 3.0}, {"outline_px": -1}, {"min_object_points": 0}],
)
def test_unusable_settings_are_refused(bad: dict) -> None:
    with pytest.raises(ConfigError):
        CloudSettings(**bad)
