"""What is changed in a view shows, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from repsam_ros.simulation.rendering import FastRenderer, Rendered
from repsam_ros.simulation.scenes import Scene, settle_scene
from repsam_ros.simulation.view_changes import hidden, moved, seen_from, with_boxes
from repsam_ros.simulation.views import HAND, MATERIAL_COUNT, View, ViewSettings, draw_view

SIZE = (60, 80)


@pytest.fixture(scope="module")
def view() -> View:
    for seed in range(40, 80):
        scene = settle_scene(seed)
        if len(scene.objects) >= 3 and scene.kind == "packed":
            return draw_view(scene, (seed,), ViewSettings(glass_scene_share=0), SIZE)
    raise AssertionError("no such scene among the seeds")


def rendered(view: View) -> Rendered:
    return FastRenderer().render([view])


def same(one: Rendered, other: Rendered) -> bool:
    return torch.equal(one.ids, other.ids) and torch.allclose(
        one.sight.depth_m, other.sight.depth_m, atol=1e-5
    )


def test_there_and_back_again(view: View) -> None:
    scene: Scene = view.scene
    away = moved(view, scene.positions_m + [0.0, 0.0, 0.1], scene.quaternions)
    assert not same(rendered(away), rendered(view))
    assert same(rendered(moved(away, scene.positions_m, scene.quaternions)), rendered(view))
    assert same(rendered(moved(view, scene.positions_m, scene.quaternions)), rendered(view))


def test_the_hidden_are_gone_and_the_others_stay(view: View) -> None:
    before = rendered(view).ids
    slot = int(before[before > 0].mode().values) - 1
    gone = np.arange(MATERIAL_COUNT) == slot
    after = rendered(hidden(view, gone)).ids
    assert not (after == slot + 1).any()
    elsewhere = before != slot + 1
    assert torch.equal(after[elsewhere], before[elsewhere])


def test_the_own_camera_sees_the_same(view: View) -> None:
    again = seen_from(view, view.world_from_camera, view.arrays["intrinsics"])
    assert same(rendered(again), rendered(view))
    lifted = view.world_from_camera.astype(float) + [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0.1]]
    assert not same(rendered(seen_from(view, lifted, view.arrays["intrinsics"])), rendered(view))


def test_added_boxes_are_seen(view: View) -> None:
    pose = view.world_from_camera
    before_lens = pose[:, 3] + 0.2 * pose[:, 2]
    box = (np.full(3, 0.02), np.column_stack([np.eye(3), before_lens]))
    material = np.zeros(10, np.float32)
    after = rendered(with_boxes(view, [box], material, HAND))
    centre = (0, SIZE[0] // 2, SIZE[1] // 2)
    assert after.sight.depth_m[centre] == pytest.approx(0.18, abs=0.02)
    assert after.ids[centre] == 0
