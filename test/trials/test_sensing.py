"""What is seen agrees with what is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from repsam_ros.errors import ConfigError
from repsam_ros.perception.clouds import project, unproject
from repsam_ros.structures import Grasp
from repsam_ros.trials.scene import SceneSettings, TrialScene, make_scene
from repsam_ros.trials.sensing import CameraSettings, View, sense

CAMERA = CameraSettings(size=(160, 120))


@pytest.fixture(scope="module")
def scene() -> TrialScene:
    return make_scene(SceneSettings("packed", "mixed"), 1010)


@pytest.fixture(scope="module")
def view(scene: TrialScene) -> View:
    return sense(scene, CAMERA, 1)


def bytes_of(view: View) -> bytes:
    arrays = (view.frame.color, view.frame.depth_m, view.true_frame.depth_m, view.true_labels)
    return b"".join(array.tobytes() for array in arrays)


def test_the_same_seed_gives_the_same_bytes(scene: TrialScene, view: View) -> None:
    again = sense(scene, CAMERA, 1)
    assert bytes_of(again) == bytes_of(view)
    assert again.visible_share == view.visible_share
    other = sense(scene, CAMERA, 2)
    assert bytes_of(other) != bytes_of(view)
    assert not np.allclose(other.camera_from_world, view.camera_from_world)


def test_labelled_points_lie_on_the_objects(scene: TrialScene, view: View) -> None:
    world_from_camera = np.linalg.inv(view.camera_from_world)
    points = unproject(view.true_frame.depth_m, view.true_frame.intrinsics)
    world = points @ world_from_camera[:3, :3].T + world_from_camera[:3, 3]
    seen = set(np.unique(view.true_labels)) - {0}
    assert len(seen) >= 3
    for object_id in seen:
        row = object_id - 1
        turn = Rotation.from_quat(np.roll(scene.quaternions[row], -1)).as_matrix()
        local = (world[view.true_labels == object_id] - scene.positions_m[row]) @ turn
        half = scene.start.objects[row].half_extents()
        assert (np.abs(local) <= half + 1e-3).all()
    on_table = world[(view.true_labels == 0) & (np.abs(world[..., :2]).max(-1) < 0.2)]
    assert np.abs(on_table[:, 2]).max() < 1e-3


def test_the_sensor_is_noisy_and_the_truth_is_not(view: View) -> None:
    assert np.array_equal(view.frame.color, view.true_frame.color)
    both = (view.frame.depth_m > 0) & (view.true_labels == 0)
    error = np.abs(view.frame.depth_m - view.true_frame.depth_m)[both]
    assert 1e-4 < np.median(error) < 0.01
    assert (view.true_frame.depth_m > 0).all()


def test_shares_are_of_what_would_be_seen_alone(scene: TrialScene, view: View) -> None:
    assert set(view.visible_share) <= set(scene.object_ids)
    for object_id, share in view.visible_share.items():
        alone = scene.without(*(each for each in scene.object_ids if each != object_id))
        unhidden = (sense(alone, CAMERA, 1).true_labels == object_id).sum()
        seen = (view.true_labels == object_id).sum()
        assert share == pytest.approx(seen / unhidden, abs=0.12)


def test_what_is_taken_away_is_seen_no_more(scene: TrialScene, view: View) -> None:
    gone = max(view.visible_share, key=lambda each: view.visible_share[each])
    after = sense(scene.without(gone), CAMERA, 1)
    assert gone not in after.true_labels
    assert gone not in after.visible_share
    assert np.array_equal(after.camera_from_world, view.camera_from_world)
    elsewhere = view.true_labels != gone
    assert np.array_equal(after.true_labels[elsewhere], view.true_labels[elsewhere])


def test_what_moves_is_seen_elsewhere(scene: TrialScene, view: View) -> None:
    positions = scene.positions_m + np.array([0.0, 0.0, 0.05])
    raised = sense(replace(scene, positions_m=positions), CAMERA, 1)
    assert (raised.true_labels != view.true_labels).any()
    centre = project(
        positions[:1] @ raised.camera_from_world[:3, :3].T + raised.camera_from_world[:3, 3],
        raised.frame.intrinsics,
    )[0]
    column, row = np.round(centre).astype(int)
    assert raised.true_labels[row, column] != 0


def test_a_grasp_in_the_cameras_frame_becomes_one_in_the_world(view: View) -> None:
    turn = Rotation.from_euler("xyz", [0.3, -0.4, 1.0]).as_matrix()
    grasp = Grasp(np.array([0.1, -0.05, 0.6]), turn, 0.05, 0.7, 3)
    world = view.in_world(grasp)
    back = view.camera_from_world[:3, :3] @ world.position_m + view.camera_from_world[:3, 3]
    assert np.allclose(back, grasp.position_m)
    assert np.allclose(view.camera_from_world[:3, :3] @ world.rotation, grasp.rotation)
    assert (world.width_m, world.score, world.instance_id) == (0.05, 0.7, 3)


def test_glass_is_missed_by_the_sensor_alone() -> None:
    scene = make_scene(SceneSettings("packed", "glass"), 1011)
    seen = sense(scene, CAMERA, 1)
    glass = np.isin(seen.true_labels, [each for each in scene.object_ids if scene.is_glass(each)])
    assert glass.sum() > 100
    wrong = np.abs(seen.frame.depth_m - seen.true_frame.depth_m) > 0.01
    opaque = sense(replace(scene, glass=np.zeros_like(scene.glass)), CAMERA, 1)
    wrong_if_opaque = np.abs(opaque.frame.depth_m - opaque.true_frame.depth_m) > 0.01
    assert wrong[glass].mean() > 0.4
    assert wrong[glass].mean() > 2 * wrong_if_opaque[glass].mean()
    assert np.array_equal(seen.true_labels, opaque.true_labels)


def test_unknown_renderers_and_cameras_are_refused(scene: TrialScene) -> None:
    with pytest.raises(ConfigError, match="photorealistic"):
        sense(scene, CAMERA, 1, "crayons")
    with pytest.raises(ConfigError):
        CameraSettings(elevation_deg=(40.0, 120.0))
    with pytest.raises(ConfigError):
        CameraSettings(size=(4, 4))
