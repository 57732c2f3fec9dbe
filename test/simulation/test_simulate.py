"""Simulated data sets: the same bytes however they are made, and clear refusals."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from repsam_ros.config import to_plain
from repsam_ros.datasets import open_dataset
from repsam_ros.datasets.simulated import MAX_ID, pack_masks, unpack_mask
from repsam_ros.errors import BackendError, ConfigError, DatasetError
from repsam_ros.paths import share_dir
from repsam_ros.simulation import cluster
from repsam_ros.simulation.configuration import SimulateConfig, load_simulate_config
from repsam_ros.simulation.scene_files import scene_files
from repsam_ros.simulation.scenes import KindShares
from repsam_ros.simulation.simulate import simulate
from repsam_ros.simulation.views import MAX_OBJECTS

# Kinds that settle in a few hundredths of a second.
QUICK = ["scene.kinds={packed: 1, stack: 0, pile: 0, single: 1, bin: 0, shelf: 0}"]
GIVEN = {"scenes": 3, "seed": 5, "views": 2, "size": [64, 48]}


def config_of(**changes: object) -> SimulateConfig:
    return load_simulate_config({**GIVEN, **changes}, None, QUICK)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set that was made in one go by one process."""
    out = tmp_path_factory.mktemp("simulate") / "made"
    run = simulate(config_of(), out)
    assert run.frames == 6 and run.frames_per_minute > 0
    return out


def test_same_config_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    simulate(config_of(), tmp_path / "again")
    assert digests(tmp_path / "again") == digests(made)
    simulate(config_of(seed=6), tmp_path / "other")
    other, first = digests(tmp_path / "other"), digests(made)
    assert other.keys() == first.keys()
    assert all(other[name] != first[name] for name in first if name.startswith("rgb/"))


def test_a_finished_data_set_stays_as_it_is(made: Path) -> None:
    before = digests(made)
    assert simulate(config_of(), made).frames == 0
    assert digests(made) == before


def test_two_processes_make_what_one_makes(made: Path, tmp_path: Path) -> None:
    simulate(config_of(), tmp_path / "two", processes=2)
    assert digests(tmp_path / "two") == digests(made)


def test_a_data_set_may_grow(made: Path, tmp_path: Path) -> None:
    simulate(config_of(scenes=1), tmp_path / "grown")
    assert simulate(config_of(), tmp_path / "grown").frames == 4
    assert digests(tmp_path / "grown") == digests(made)


def test_killed_and_started_again_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    size = "x".join(map(str, GIVEN["size"]))
    options = ["--scenes", "3", "--seed", "5", "--views", "2", "--size", size, "--set", *QUICK]
    command = [sys.executable, "-m", "repsam_ros.cli.main", "simulate", "--out", str(out)]
    process = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
    while not (out / "meta").is_dir() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    with pytest.raises(DatasetError, match="not finished"):
        open_dataset("simulated", out)
    (out / "rgb" / ".000001-00.a1b2c3d4.png").write_bytes(b"half a picture")
    simulate(config_of(), out)
    assert digests(out) == digests(made)


@pytest.mark.skipif(not importlib.util.find_spec("distributed"), reason="needs Dask")
def test_a_cluster_makes_what_one_process_makes(made: Path, tmp_path: Path) -> None:
    simulate(config_of(), tmp_path / "cluster", cluster="local:2")
    assert digests(tmp_path / "cluster") == digests(made)


def test_a_missing_engine_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BackendError, match=r"repsam_ros\[cluster\]"):
        simulate(config_of(), tmp_path / "out", cluster="local:2")


def test_a_wrong_number_of_local_workers_is_refused() -> None:
    pytest.importorskip("distributed")
    with pytest.raises(ConfigError, match="local:N"):
        next(cluster.map_on_cluster(str, [1], "local:many"))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"seed": 6}, "seed is 5 there, 6 here"),
        ({"scenes": 2}, "scenes is 3 there, 2 here"),
        ({"sensor": "kinect"}, "sensor"),
    ],
)
def test_a_folder_of_another_config_is_refused(
    made: Path, changes: dict[str, object], key: str
) -> None:
    before = digests(made)
    with pytest.raises(DatasetError, match=key):
        simulate(config_of(**changes), made)
    assert digests(made) == before


def test_a_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    simulate(config_of(scenes=1), tmp_path)
    summary = json.loads((tmp_path / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps({**summary, "repsam_ros": "0.0.9"}))
    with pytest.raises(DatasetError, match=r"made by repsam_ros 0\.0\.9"):
        simulate(config_of(), tmp_path)


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(DatasetError, match="not empty"):
        simulate(config_of(), tmp_path)


def test_only_one_process_writes(tmp_path: Path) -> None:
    import fcntl

    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(DatasetError, match="another repsam simulate"):
            simulate(config_of(), tmp_path)
    finally:
        os.close(handle)


def test_the_disk_budget_is_checked_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match="3 scenes will take about .* --max-gigabytes 1e-05"):
        simulate(config_of(), tmp_path / "small", max_bytes=1e4)
    assert not list((tmp_path / "small").rglob("*.png"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=30_000))
    with pytest.raises(DatasetError, match="3 scenes to go need about .*, 3e-05 GB are free"):
        simulate(config_of(), tmp_path / "full")


def test_an_error_names_the_seed_of_its_scene(tmp_path: Path) -> None:
    (tmp_path / "meshes").mkdir()
    config = config_of()
    scene = replace(config.scene, mesh_folder=str(tmp_path / "meshes"), mesh_share=1.0)
    with pytest.raises(DatasetError, match=r"scene 2 \(seed 1005000002\): .*no mesh"):
        scene_files(replace(config, scene=scene), 2)


def test_files_say_nothing_about_where_they_were_made(made: Path) -> None:
    host = os.uname().nodename.encode()
    for path in made.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert str(made).encode() not in content and str(Path.home()).encode() not in content
            assert path.suffix == ".png" or len(host) < 5 or host not in content


def test_descriptions_agree_with_the_pictures(made: Path) -> None:
    """Depth, ids, camera and poses put every pixel of a box on that box."""
    on_boxes = 0
    for path in sorted((made / "meta").glob("*.json")):
        meta = json.loads(path.read_text())
        packed = cv2.imread(str(made / "amodal" / f"{path.stem}.png"))[..., ::-1]
        ids, depth = (
            cv2.imread(str(made / folder / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
            for folder in ("ids", "true_depth")
        )
        pose, camera = np.array(meta["world_from_camera"]), meta["intrinsics"]
        v, u = np.mgrid[: camera["height"], : camera["width"]]
        rays = [(u - camera["cx"]) / camera["fx"], (v - camera["cy"]) / camera["fy"], u**0]
        depth_m = depth * camera["depth_scale_m"]
        world = (np.stack(rays, -1) * depth_m[..., None]) @ pose[:, :3].T + pose[:, 3]
        for item in meta["objects"]:
            mask, visible = unpack_mask(packed, item["id"]), ids == item["id"]
            assert (item["amodal_px"], item["visible_px"]) == (mask.sum(), visible.sum())
            assert not (visible & ~mask).any()
            assert item["mass_kg"] > 0
            placed = np.array(item["world_from_object"])
            local = (world[visible] - placed[:, 3]) @ placed[:, :3]
            beyond_m = np.max(np.abs(local) - item["half_extents_m"], axis=1, initial=-1)
            assert np.all(beyond_m < 1e-3)
            if item["family"] in ("carton", "flat", "block", "bar"):
                assert np.all(np.abs(beyond_m) < 1e-3)
                on_boxes += len(beyond_m)
    assert on_boxes > 50


def test_twins_are_written_for_every_frame(tmp_path: Path) -> None:
    simulate(config_of(scenes=1, twins=["sensor", "source"]), tmp_path / "twins")
    for twin in ("sensor", "source"):
        for folder in ("rgb", "depth"):
            files = sorted((tmp_path / "twins" / "twins" / twin / folder).iterdir())
            assert [file.name for file in files] == ["000000-00.png", "000000-01.png"]
    perfect = tmp_path / "twins" / "twins" / "sensor" / "depth" / "000000-00.png"
    truth = tmp_path / "twins" / "true_depth" / "000000-00.png"
    assert perfect.read_bytes() == truth.read_bytes()


@given(st.data())
def test_packed_masks_come_back(data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(1, MAX_ID), unique=True, max_size=5))
    masks = data.draw(hnp.arrays(np.bool_, (len(ids), 3, 4)))
    packed = pack_masks(np.array(ids, np.int64), masks)
    for number, mask in zip(ids, masks, strict=True):
        assert np.array_equal(unpack_mask(packed, number), mask)
    assert not ids or not unpack_mask(packed, next(k for k in range(1, 25) if k not in ids)).any()


def test_every_id_has_a_bit() -> None:
    assert MAX_OBJECTS <= MAX_ID


@pytest.mark.parametrize(
    "path", sorted((share_dir() / "config" / "simulation").glob("*.yaml")), ids=lambda p: p.stem
)
def test_presets_load_and_their_resolved_config_loads_again(path: Path) -> None:
    config = load_simulate_config({"scenes": 2, "seed": 1}, path.stem, [])
    assert config.sensor_name in ("kinect", "realsense")
    again = load_simulate_config(to_plain(config), None, [])
    assert again == config


def test_overrides_reach_into_a_named_sensor() -> None:
    config = load_simulate_config({**GIVEN, "sensor": "kinect"}, None, ["sensor.far_m=[1, 2]"])
    assert config.sensor.far_m == (1, 2) and config.sensor_name == "kinect"
    config = load_simulate_config(GIVEN, None, ["sensor=kinect", "scene.clutter=0.25"])
    assert config.sensor_name == "kinect" and config.scene.clutter == 0.25
    assert config.scene.kinds == KindShares()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"renderer": "blender"}, "fast, photorealistic"),
        ({"twins": ["weather"]}, "source, light"),
        ({"sensor": "lidar"}, "unknown sensor"),
        ({"scenes": 0}, "scenes"),
        ({"size": [8, 8]}, "16 pixels"),
        ({"view": {"textures": 999}}, "textures"),
    ],
)
def test_unusable_values_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_of(**changes)


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="glass, picking, tabletop"):
        load_simulate_config(GIVEN, "kitchen", [])
