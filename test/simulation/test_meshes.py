"""Meshes from a user's folder: checked, in a fixed order, and usable as objects of scenes."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import trimesh

from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.simulation.meshes import MeshLibrary, read_mesh
from repsam_ros.simulation.objects import MESH, mesh_object
from repsam_ros.simulation.scenes import (
    KindShares,
    SceneSettings,
    load_scenes,
    save_scenes,
    settle_scene,
)

ONLY_PACKED = KindShares(packed=1, stack=0, pile=0, single=0, bin=0, shelf=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "meshes"
    folder.mkdir()
    trimesh.creation.cylinder(0.03, 0.1).export(folder / "b.stl")
    trimesh.creation.box((0.05, 0.08, 0.12)).export(folder / "a.obj")
    trimesh.creation.icosphere(2, 0.04).export(folder / "c.ply")
    (folder / "notes.txt").write_text("not a mesh")
    return folder


def test_a_folder_gives_its_meshes_in_the_order_of_names(folder: Path) -> None:
    meshes = MeshLibrary(folder).meshes
    assert [mesh.name for mesh in meshes] == ["a.obj", "b.stl", "c.ply"]
    assert len({mesh.sha256 for mesh in meshes}) == 3
    for mesh in meshes:
        solid = trimesh.Trimesh(mesh.mesh.vertices, mesh.mesh.faces, process=False)
        assert solid.is_watertight and solid.volume > 0
        assert mesh.volume_m3 == pytest.approx(solid.volume, rel=1e-4)
        assert np.allclose(solid.bounds.sum(axis=0), 0, atol=1e-6)
        item = mesh_object(mesh)
        assert item.family == MESH and item.surfaces() == []
        assert np.allclose(2 * item.half_extents(), solid.extents, atol=1e-6)


def test_meshes_turned_inside_out_are_turned_back(tmp_path: Path) -> None:
    box = trimesh.creation.box((0.1, 0.1, 0.1))
    box.invert()
    box.export(tmp_path / "box.ply")
    mesh = read_mesh(tmp_path / "box.ply").mesh
    assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).volume > 0


def test_pieces_have_hulls_of_their_own(tmp_path: Path) -> None:
    left, right = trimesh.creation.box((0.02, 0.02, 0.02)), trimesh.creation.icosphere(2, 0.02)
    right.apply_translation([0.1, 0, 0])
    trimesh.util.concatenate([left, right]).export(tmp_path / "dumbbell.stl")
    hulls = read_mesh(tmp_path / "dumbbell.stl").hulls
    assert sorted(len(hull) for hull in hulls)[0] == 8
    assert len(hulls) == 2


def test_open_meshes_use_their_hull_and_say_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box = trimesh.creation.box((0.1, 0.1, 0.1))
    box.update_faces(np.arange(len(box.faces)) > 1)
    box.export(tmp_path / "open.stl")
    with caplog.at_level(logging.WARNING):
        mesh = read_mesh(tmp_path / "open.stl")
    assert "open.stl is not watertight: physics uses its convex hull" in caplog.text
    assert len(mesh.hulls) == 1
    assert mesh.volume_m3 == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize(
    ("size", "hint"),
    [(80.0, "millimetres"), (3.0, "inches"), (0.0008, "expected 0.005"), (5000.0, "expected")],
)
def test_sizes_of_other_units_are_refused(tmp_path: Path, size: float, hint: str) -> None:
    trimesh.creation.box((size, size, size)).export(tmp_path / "odd.stl")
    with pytest.raises(DatasetError, match=f"odd.stl.*{hint}"):
        read_mesh(tmp_path / "odd.stl")


@pytest.mark.parametrize("content", [b"", b"ply\nnonsense", b"\x00" * 100])
@pytest.mark.parametrize("suffix", ["obj", "stl", "ply"])
def test_broken_files_are_named(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"broken.{suffix}"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=f"broken.{suffix}"):
        read_mesh(path)


def test_flat_meshes_are_refused(tmp_path: Path) -> None:
    square = trimesh.Trimesh([[0, 0, 0], [0.1, 0, 0], [0.1, 0.1, 0]], [[0, 1, 2]])
    square.export(tmp_path / "flat.ply")
    with pytest.raises(DatasetError, match="flat.ply: flat"):
        read_mesh(tmp_path / "flat.ply")


def test_a_folder_without_meshes_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=str(tmp_path)):
        MeshLibrary(tmp_path)
    with pytest.raises(ConfigError, match="mesh_folder"):
        SceneSettings(mesh_share=0.5)


def test_scenes_with_meshes_rest_and_survive_a_round_trip(folder: Path, tmp_path: Path) -> None:
    settings = SceneSettings(ONLY_PACKED, mesh_folder=str(folder), mesh_share=0.6)
    scenes = [settle_scene(seed, settings) for seed in range(4)]
    items = [item for scene in scenes for item in scene.objects]
    assert {item.family == MESH for item in items} == {True, False}
    for scene in scenes:
        assert np.all(scene.positions_m[:, 2] > 0)
    save_scenes(tmp_path / "scenes.npz", scenes)
    loaded = load_scenes(tmp_path / "scenes.npz", folder)
    for before, after in zip(scenes, loaded, strict=True):
        for one, other in zip(before.objects, after.objects, strict=True):
            assert (one.mesh is None) == (other.mesh is None)
            assert one.mesh is None or one.mesh.name == other.mesh.name
    with pytest.raises(DatasetError, match=r"scenes.npz.*folder"):
        load_scenes(tmp_path / "scenes.npz")


def test_a_changed_mesh_is_noticed(folder: Path) -> None:
    library = MeshLibrary(folder)
    with pytest.raises(DatasetError, match=r"a\.obj"):
        library.find("a.obj", "0" * 64)
