"""Views: what stands on the table stands on it, and the camera sees the objects."""

from __future__ import annotations

import numpy as np
import pytest

from repsam_ros.simulation.objects import BOX
from repsam_ros.simulation.rendering import FastRenderer, amodal_masks
from repsam_ros.simulation.scenes import KINDS, KindShares, Scene, SceneSettings, settle_scene
from repsam_ros.simulation.views import TABLE, View, ViewSettings, draw_view

SIZE = (48, 64)


def table(view: View) -> tuple[np.ndarray, np.ndarray]:
    """(2,) half size and (2, 2) world_from_table of the table top."""
    row = int(np.flatnonzero(view.arrays[f"owner_{BOX}"] == TABLE)[0])
    pose = view.arrays[f"pose_{BOX}"][row].reshape(3, 4)
    return view.arrays[f"size_{BOX}"][row, :2], pose[:2, :2]


def footprint(scene: Scene) -> np.ndarray:
    """(K, 2) centres of the objects and corners of the fixtures."""
    signs = np.array([[x, y] for x in (-1, 1) for y in (-1, 1)])
    corners = scene.fixtures[:, None, 3:5] + signs * scene.fixtures[:, None, :2]
    return np.concatenate([scene.positions_m[:, :2], corners.reshape(-1, 2)])


@pytest.mark.parametrize("kind", KINDS)
def test_everything_stands_on_the_table(kind: str) -> None:
    kinds = KindShares(**{name: float(name == kind) for name in KINDS})
    for seed in range(3):
        scene = settle_scene(seed, SceneSettings(kinds))
        for number in range(16):
            half, turn = table(draw_view(scene, (seed, number), ViewSettings(), SIZE))
            assert np.all(np.abs(footprint(scene) @ turn) <= half + 1e-6), (seed, number)


# Of these, walls or things beyond the table stood before the camera.
@pytest.mark.parametrize(("seed", "number"), [(10, 4), (18, 0), (100, 2), (116, 2), (140, 5)])
def test_nothing_in_the_room_hides_all_objects(seed: int, number: int) -> None:
    view = draw_view(settle_scene(seed), (seed, number), ViewSettings(), SIZE)
    full = amodal_masks(view).any(axis=0)
    assert full.sum() > 20
    assert (FastRenderer().render([view]).ids[0].numpy() > 0).sum() > 0.5 * full.sum()
