"""Settled scenes: deterministic, at rest, and the same after a round trip to disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repsam_ros.errors import DatasetError
from repsam_ros.simulation.objects import sample_object
from repsam_ros.simulation.scenes import load_scenes, save_scenes, settle_scene


def test_same_seed_gives_the_same_scene() -> None:
    first, second, other = settle_scene(5), settle_scene(5), settle_scene(6)
    assert np.array_equal(first.positions_m, second.positions_m)
    assert np.array_equal(first.quaternions, second.quaternions)
    assert first.positions_m.shape != other.positions_m.shape or not np.array_equal(
        first.positions_m, other.positions_m
    )


def test_objects_rest_on_the_table_or_on_each_other() -> None:
    for seed in range(6):
        scene = settle_scene(seed)
        assert np.all(scene.positions_m[:, 2] > -0.005)
        assert np.all(np.abs(scene.positions_m[:, :2]) < 0.6)
        assert np.allclose(np.linalg.norm(scene.quaternions, axis=1), 1, atol=1e-6)


def test_scenes_survive_a_round_trip(tmp_path: Path) -> None:
    scenes = [settle_scene(seed) for seed in range(3)]
    save_scenes(tmp_path / "scenes.npz", scenes)
    loaded = load_scenes(tmp_path / "scenes.npz")
    assert [s.kind for s in loaded] == [s.kind for s in scenes]
    for before, after in zip(scenes, loaded, strict=True):
        assert np.allclose(before.positions_m, after.positions_m, atol=1e-6)
        assert [o.family for o in before.objects] == [o.family for o in after.objects]


def test_a_broken_scene_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scenes.npz"
    path.write_bytes(b"not an archive")
    with pytest.raises(DatasetError, match="scenes.npz"):
        load_scenes(path)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000))
def test_surfaces_stay_inside_the_bounding_box(seed: int) -> None:
    item = sample_object(np.random.default_rng(seed))
    half = item.half_extents()
    assert np.all(half > 0)
    for surface in item.surfaces():
        centre = np.abs(surface.pose[:, 3])
        assert np.all(centre <= half + 1e-6)
    assert len(item.collision_parts()) >= 1
