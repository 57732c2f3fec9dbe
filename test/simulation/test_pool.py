"""Pools of pictures: what training needs survives, whoever renders, and nothing is mixed up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from repsam_ros.errors import DatasetError
from repsam_ros.simulation.pool import PicturePool, PoolSettings, make_pool, pack, unpack
from repsam_ros.simulation.rendering import FastRenderer, RenderSettings
from repsam_ros.simulation.scenes import KindShares, SceneSettings, settle_scene
from repsam_ros.simulation.views import ViewSettings, draw_view

SIZE = (48, 64)
QUICK = SceneSettings(KindShares(packed=1, stack=0, pile=0, single=0, bin=0, shelf=0))
SETTINGS = PoolSettings(
    scene_count=2,
    pictures=3,
    processes=1,
    scenes=QUICK,
    views=ViewSettings(textures=9),
    render=RenderSettings(textures=9),
)


def test_packing_keeps_what_training_needs() -> None:
    settings = ViewSettings(glass_scene_share=1.0, glass_share=1.0)
    rendered = FastRenderer().render([draw_view(settle_scene(2), (2,), settings, SIZE)])
    assert rendered.sight.glass.any()
    again = unpack(pack(rendered)[None], rendered.intrinsics.numpy())
    for name in ("glass", "on_table"):
        assert torch.equal(getattr(again.sight, name), getattr(rendered.sight, name)), name
    assert torch.equal(again.ids, rendered.ids)
    near = rendered.sight.through_m < 6.5
    for name, step in (("depth_m", 1e-4), ("through_m", 1e-4), ("incidence_rad", 1.6 / 255)):
        error = (getattr(again.sight, name) - getattr(rendered.sight, name)).abs()[near]
        assert error.max() <= 0.51 * step, name
    assert (again.sight.dropout - rendered.sight.dropout).abs().max() <= 0.51 / 255
    assert (again.color - rendered.color).abs().max() <= 0.51 / 255


def test_processes_change_nothing_but_the_speed(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        make_pool(tmp_path / "one", SETTINGS, SIZE)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    make_pool(tmp_path / "two", replace(SETTINGS, processes=2), SIZE)
    for path in (tmp_path / "one").glob("*.npy"):
        assert (tmp_path / "two" / path.name).read_bytes() == path.read_bytes()
    assert len(PicturePool(tmp_path / "two")) == 3


def test_pictures_of_other_settings_are_refused(tmp_path: Path) -> None:
    make_pool(tmp_path, SETTINGS, SIZE)
    make_pool(tmp_path, replace(SETTINGS, processes=2, folder=str(tmp_path)), SIZE)
    with pytest.raises(DatasetError, match="seed is 1 there, 2 here"):
        make_pool(tmp_path, replace(SETTINGS, seed=2), SIZE)
    with pytest.raises(DatasetError, match="size"):
        make_pool(tmp_path, SETTINGS, (24, 32))


def test_meshes_of_ones_own_are_rendered(tmp_path: Path) -> None:
    (tmp_path / "meshes").mkdir()
    trimesh.creation.icosphere(radius=0.05).export(tmp_path / "meshes" / "ball.ply")
    scenes = replace(QUICK, mesh_folder=str(tmp_path / "meshes"), mesh_share=1.0)
    make_pool(tmp_path / "pool", replace(SETTINGS, scenes=scenes), SIZE)
    ids = PicturePool(tmp_path / "pool").batch([0, 1, 2]).ids
    assert np.count_nonzero(ids.numpy()) > 0
