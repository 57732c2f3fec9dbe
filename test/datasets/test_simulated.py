"""The reader of simulated data sets gives what the renderer gave."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from repsam_ros.datasets import open_dataset
from repsam_ros.datasets.simulated import Simulated, split_of, without_slivers
from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.simulation.configuration import SimulateConfig, load_simulate_config
from repsam_ros.simulation.rendering import FastRenderer
from repsam_ros.simulation.scenes import settle_scene
from repsam_ros.simulation.simulate import simulate
from repsam_ros.simulation.views import draw_view

OVERRIDES = [
    "scene.kinds={packed: 1, stack: 0, pile: 0, single: 0, bin: 0, shelf: 0}",
    "view.glass_scene_share=1.0",
    "view.glass_share=1.0",
]


@pytest.fixture(scope="module")
def config() -> SimulateConfig:
    given = {"scenes": 2, "seed": 8, "views": 2, "size": [64, 48], "twins": ["opaque"]}
    return load_simulate_config(given, None, OVERRIDES)


@pytest.fixture(scope="module")
def made(config: SimulateConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("simulated") / "made"
    simulate(config, root)
    return root


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def test_samples_are_what_was_rendered(made: Path, config: SimulateConfig) -> None:
    dataset = open_dataset("simulated", made)
    assert dataset.names == ["000000-00", "000000-01", "000001-00", "000001-01"]
    seed = config.scene_seed(1)
    view = draw_view(settle_scene(seed, config.scene), (seed, 0), config.view, (48, 64))
    rendered = FastRenderer(config.render).render([view])
    sample = dataset[2]
    labels, ignore = without_slivers(rendered.ids[0].numpy().astype(np.uint16))
    assert np.array_equal(sample.labels, labels) and np.array_equal(sample.ignore, ignore)
    assert sample.true_depth_m is not None and sample.transparent is not None
    true_m = rendered.sight.depth_m[0].numpy()
    assert np.abs(sample.true_depth_m - true_m).max() <= 0.5e-3 + 1e-6
    assert np.array_equal(sample.transparent, rendered.sight.glass[0].numpy())
    camera = sample.frame.intrinsics
    stored = (camera.fx, camera.fy, camera.cx, camera.cy)
    assert stored == pytest.approx(rendered.intrinsics[0].tolist(), abs=1e-8)
    assert (camera.width, camera.height) == (64, 48)
    assert sample.frame.depth_m.max() > 0 and sample.labels.max() > 0


def test_glass_and_its_opaque_twin(made: Path) -> None:
    dataset = Simulated(made)
    assert any(sample.transparent is not None and sample.transparent.any() for sample in dataset)
    twin, frame = dataset.twin(0, "opaque"), dataset[0].frame
    assert twin.intrinsics == frame.intrinsics and twin.color.shape == frame.color.shape
    with pytest.raises(DatasetError, match="no twin 'light'; there are: opaque"):
        dataset.twin(0, "light")


def test_amodal_masks_hold_the_visible_ones(made: Path) -> None:
    dataset = Simulated(made)
    for index, sample in enumerate(dataset):
        masks = dataset.amodal(index)
        assert masks.keys() == {item["id"] for item in dataset.meta(index)["objects"]}
        for number in np.unique(sample.labels[sample.labels > 0]):
            assert masks[number][sample.labels == number].all()


def test_splits_are_by_scene_and_complete(made: Path) -> None:
    train, test = (open_dataset("simulated", made, split) for split in ("train", "test"))
    assert (train.names, test.names) == (["000001-00", "000001-01"], ["000000-00", "000000-01"])
    assert test[0].split == "test" and train[0].split == "train"
    assert [sample.scene for sample in (*train, *test)] == ["000001"] * 2 + ["000000"] * 2
    assert [split_of(scene) for scene in (9, 10, 11, 20)] == ["train", "test", "train", "test"]
    with pytest.raises(ConfigError, match="train, test"):
        open_dataset("simulated", made, "val")


def test_slivers_are_ignored() -> None:
    ids = np.zeros((50, 50), np.uint16)
    ids[0, 0], ids[10:20, 10:20] = 3, 7
    labels, ignore = without_slivers(ids)
    assert np.unique(labels).tolist() == [0, 7]
    assert np.argwhere(ignore).tolist() == [[0, 0]]


def test_an_unfinished_data_set_is_refused(copy: Path) -> None:
    content = json.loads((copy / "dataset.json").read_text())
    (copy / "dataset.json").write_text(json.dumps({**content, "finished": False}))
    with pytest.raises(DatasetError, match="not finished"):
        open_dataset("simulated", copy)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"dataset\.json"):
        open_dataset("simulated", tmp_path)


def test_another_layout_is_refused(copy: Path) -> None:
    content = json.loads((copy / "dataset.json").read_text())
    (copy / "dataset.json").write_text(json.dumps({**content, "version": 2}))
    with pytest.raises(DatasetError, match="layout 1"):
        open_dataset("simulated", copy)


@pytest.mark.parametrize("folder", ["rgb", "true_depth", "meta"])
def test_a_missing_file_is_named(copy: Path, folder: str) -> None:
    suffix = ".json" if folder == "meta" else ".png"
    (copy / folder / f"000001-00{suffix}").unlink()
    with pytest.raises(DatasetError, match=f"{folder}: no {suffix} file 000001-00"):
        open_dataset("simulated", copy)


def test_a_missing_folder_is_named(copy: Path) -> None:
    shutil.rmtree(copy / "amodal")
    with pytest.raises(DatasetError, match="amodal: no such folder"):
        open_dataset("simulated", copy)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("depth/000000-01.png", b"no picture"),
        ("meta/000000-01.json", b'{"intrinsics": {"fx": 1}}'),
        ("meta/000000-01.json", b"[1"),
        ("meta/000000-01.json", b"[1]"),
    ],
)
def test_a_broken_file_is_named_when_it_is_read(copy: Path, name: str, content: bytes) -> None:
    (copy / name).write_bytes(content)
    dataset = open_dataset("simulated", copy)
    assert dataset[0].name == "000000-00"
    with pytest.raises(DatasetError, match=name):
        dataset[1]
