"""Settled scenes: deterministic, at rest, apart from each other, and the same from disk."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.simulation.groups import make_groups
from repsam_ros.simulation.objects import SimObject, sample_object
from repsam_ros.simulation.scenes import (
    KINDS,
    KindShares,
    Scene,
    SceneSettings,
    load_scenes,
    save_scenes,
    settle_scene,
    settle_scenes,
)
from repsam_ros.simulation.settling import (
    SUNK_M,
    TIME_STEP_S,
    Placed,
    compiled,
    physics_spec,
    settle,
)

kinds = st.sampled_from(KINDS)
seeds = st.integers(0, 1_000_000)


def only(kind: str, **changes: object) -> SceneSettings:
    return SceneSettings(KindShares(**{name: float(name == kind) for name in KINDS}), **changes)


def placed(scene: Scene) -> list[Placed]:
    poses = zip(scene.objects, scene.positions_m, scene.quaternions, strict=True)
    return [Placed(*pose) for pose in poses]


def physics_of(scene: Scene) -> mujoco.MjModel:
    """What :func:`settle` lets the objects of a scene fall in."""
    return compiled(physics_spec(placed(scene), scene.fixtures), len(scene.objects))


def rotations(quaternions: np.ndarray) -> np.ndarray:
    """(N, 3, 3) of quaternions, scalar first."""
    matrices = np.zeros((len(quaternions), 9))
    for row, quaternion in zip(matrices, quaternions, strict=True):
        mujoco.mju_quat2Mat(row, quaternion)
    return matrices.reshape(-1, 3, 3)


def corners(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) lower and upper corners of the objects' vertices in the world."""
    low, high = [], []
    turns = rotations(scene.quaternions)
    for item, position, turn in zip(scene.objects, scene.positions_m, turns, strict=True):
        points = np.concatenate([mesh.vertices for mesh in item.meshes()]) @ turn.T + position
        low.append(points.min(axis=0))
        high.append(points.max(axis=0))
    return np.array(low), np.array(high)


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first.npz", "second.npz"):
        save_scenes(tmp_path / name, [settle_scene(seed) for seed in range(4)])
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    save_scenes(tmp_path / "other.npz", [settle_scene(seed) for seed in range(4, 8)])
    assert (tmp_path / "first.npz").read_bytes() != (tmp_path / "other.npz").read_bytes()


def test_processes_change_nothing() -> None:
    alone, together = settle_scenes([3, 1, 2], 1), settle_scenes([3, 1, 2], 2)
    for one, other in zip(alone, together, strict=True):
        assert one.kind == other.kind
        assert np.array_equal(one.positions_m, other.positions_m)


@settings(max_examples=18, deadline=None)
@given(kinds, seeds)
def test_objects_rest(kind: str, seed: int) -> None:
    scene = settle_scene(seed, only(kind))
    assert scene.kind == kind
    model = physics_of(scene)
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, nstep=round(0.5 / TIME_STEP_S))
    moved = np.linalg.norm(data.qpos.reshape(-1, 7)[:, :3] - scene.positions_m, axis=1)
    assert np.median(moved) < 1e-3
    assert moved.max() < 0.02


@settings(max_examples=18, deadline=None)
@given(kinds, seeds)
def test_objects_hardly_sink_into_each_other(kind: str, seed: int) -> None:
    scene = settle_scene(seed, only(kind))
    model = physics_of(scene)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    assert data.contact.dist.min(initial=0) > -SUNK_M
    low, _ = corners(scene)
    # What is seen may differ from the parts that physics feels.
    assert low[:, 2].min() > -0.004


@settings(max_examples=18, deadline=None)
@given(kinds, seeds)
def test_nothing_floats(kind: str, seed: int) -> None:
    scene = settle_scene(seed, only(kind))
    model = physics_of(scene)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    touched = set(model.geom_bodyid[data.contact.geom].ravel().tolist())
    low, _ = corners(scene)
    for index in range(len(scene.objects)):
        assert index + 1 in touched or low[index, 2] < 0.004


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(["bin", "shelf"]), seeds)
def test_objects_stay_inside_bins_and_shelves(kind: str, seed: int) -> None:
    scene = settle_scene(seed, only(kind))
    half, centre = scene.fixtures[:, :3], scene.fixtures[:, 3:]
    low, high = (centre - half).min(axis=0), (centre + half).max(axis=0)
    assert len(scene.fixtures) in ((5,) if kind == "bin" else (5, 6))
    assert np.all(scene.positions_m[:, :2] > low[:2]) and np.all(
        scene.positions_m[:, :2] < high[:2]
    )
    assert low[2] == pytest.approx(0.0, abs=1e-9)
    if kind == "shelf":
        assert np.all(scene.positions_m[:, 2] < high[2])
        # The -y side is open: no board closes it.
        front = (centre - half)[:, 1] < low[1] + 0.02
        assert np.all(half[front, 1] > 0.05)


def test_every_kind_occurs_as_often_as_asked() -> None:
    found = [settle_scene(seed, SceneSettings(objects=(1, 3))).kind for seed in range(60)]
    assert set(found) == set(KINDS)
    assert found.count("packed") > found.count("single")


def test_clutter_and_range_set_the_number_of_objects() -> None:
    few, many = (
        [len(settle_scene(seed, only("packed", clutter=clutter)).objects) for seed in range(12)]
        for clutter in (0.0, 1.0)
    )
    assert 1.5 * np.mean(few) < np.mean(many)
    exact = settle_scene(3, only("packed", objects=(4, 4)))
    assert 3 <= len(exact.objects) <= 4
    assert len(settle_scene(3, only("single")).objects) == 1


def test_a_bottle_does_not_stand_on_its_neck() -> None:
    bottle = sample_object(np.random.default_rng(2), "capped_bottle")
    half = bottle.half_extents()
    turn = 0.88 * np.pi
    start = Placed(
        bottle,
        np.array([0, 0, half[2] + 0.02]),
        np.array([np.cos(0.5 * turn), np.sin(0.5 * turn), 0, 0]),
    )
    (ended,), rests = settle([start], np.zeros((0, 6)), 6.0, 5.0)
    up = rotations(ended.quaternion[None])[0, :, 2]
    assert rests
    assert abs(up[2]) < 0.5


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 12), st.floats(0, 1))
def test_groups_hold_each_object_once_or_its_copies(seed: int, count: int, stacked: float) -> None:
    rng = np.random.default_rng(seed)
    items = [sample_object(rng) for _ in range(count)]
    groups = make_groups(rng, items, stacked)
    grouped: list[SimObject] = [part.item for group in groups for part in group]
    assert len(grouped) == count
    assert {id(item) for item in grouped} <= {id(item) for item in items}
    for group in groups:
        for part in group:
            assert part.position_m[2] > 0


@pytest.mark.parametrize(
    "wrong",
    [{"objects": (0, 3)}, {"objects": (5, 2)}, {"clutter": 1.5}, {"mesh_share": -0.1}],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        SceneSettings(**wrong)
    with pytest.raises(ConfigError):
        KindShares(0, 0, 0, 0, 0, 0)


def test_scenes_survive_a_round_trip(tmp_path: Path) -> None:
    scenes = [settle_scene(5, only(kind)) for kind in KINDS]
    save_scenes(tmp_path / "scenes.npz", scenes)
    loaded = load_scenes(tmp_path / "scenes.npz")
    assert [s.kind for s in loaded] == [s.kind for s in scenes]
    for before, after in zip(scenes, loaded, strict=True):
        assert np.allclose(before.positions_m, after.positions_m, atol=1e-6)
        assert np.allclose(before.quaternions, after.quaternions, atol=1e-6)
        assert before.fixtures.shape == after.fixtures.shape
        assert np.allclose(before.fixtures, after.fixtures, atol=1e-6)
        for one, other in zip(before.objects, after.objects, strict=True):
            assert one.family == other.family
            assert np.array_equal(one.dimensions, other.dimensions)


def test_a_broken_scene_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scenes.npz"
    save_scenes(path, [settle_scene(5, only("single"))])
    whole = path.read_bytes()
    for damaged in (b"not an archive", whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(damaged)
        with pytest.raises(DatasetError, match=r"scenes\.npz: not a readable NumPy file"):
            load_scenes(path)
    np.savez(path, kind=np.zeros(1, np.uint8))
    with pytest.raises(DatasetError, match=r"scenes\.npz: not a scene file"):
        load_scenes(path)
