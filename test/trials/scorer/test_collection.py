"""Examples that are executed, kept, found again and learned from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from repsam_ros.cli.main import main
from repsam_ros.config import to_plain
from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.grasping.scorer.network import open_scorer
from repsam_ros.network.weights import find_model
from repsam_ros.trials.rows import read_rows
from repsam_ros.trials.scorer.collection import CLOUDS, collect, example_files
from repsam_ros.trials.scorer.examples import load_examples
from repsam_ros.trials.scorer.settings import ScorerConfig
from repsam_ros.trials.scorer.training import EpochRow, train_scorer

Make = Callable[..., ScorerConfig]


@pytest.fixture(scope="module")
def collected(tiny_scorer: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scorer")
    collect(tiny_scorer(), out)
    return out


def test_each_grasp_is_shown_in_the_clouds_that_hold_its_object(
    tiny_scorer: Make, collected: Path
) -> None:
    files = example_files(tiny_scorer(), collected)
    assert [path.name for path in files] == ["few-400000.npz", "few-400001.npz"]
    for path in files:
        scene = load_examples(path)
        assert 0 < len(scene) <= 6 and len(scene.clouds) == len(CLOUDS)
        assert np.allclose(np.linalg.det(scene.rotations), 1)
        for place, cloud in enumerate(scene.clouds):
            rows, grasps = scene.shown(place)
            assert {grasp.instance_id for grasp in grasps} <= set(cloud.instance_ids.tolist())
            # What was planned on a cloud is near the points of its object there.
            for row in np.flatnonzero(scene.sources[rows] == place):
                mine = cloud.points_m[cloud.instance_ids == grasps[row].instance_id]
                apart_m = np.linalg.norm(mine - grasps[row].position_m, axis=1).min()
                assert apart_m < 0.06


def test_collection_goes_on_where_it_stopped_with_the_same_bytes(
    tiny_scorer: Make, collected: Path
) -> None:
    first, second = example_files(tiny_scorer(), collected)
    kept, lost = first.read_bytes(), second.read_bytes()
    changed_ns = first.stat().st_mtime_ns
    second.unlink()
    collect(tiny_scorer(), collected)
    assert first.stat().st_mtime_ns == changed_ns and first.read_bytes() == kept
    assert second.read_bytes() == lost
    with pytest.raises(ConfigError, match=r"other examples, remove them: sampling\.attempts is 6"):
        collect(tiny_scorer(sampling={"attempts": 7}), collected)
    with pytest.raises(ConfigError, match="objects_sha256"):
        collect(tiny_scorer(objects_sha256="0"), collected)


def test_training_writes_weights_that_the_planner_reads_and_their_card(
    tiny_scorer: Make, collected: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = collected / "scorer.yaml"
    config.write_text(yaml.safe_dump(to_plain(tiny_scorer())))
    command = ["scorer", "train", str(config), "--out", str(collected)]
    assert main(command) == 0
    card = capsys.readouterr().out.removesuffix("\n")
    open_scorer(str(collected / "grasp_scorer.safetensors"))
    about = json.loads((collected / "validation.json").read_text())
    assert about["sha256"] in card and card == (collected / "grasp_scorer.md").read_text()
    assert about["scenes"] == {"learned": 1, "validation": 1}
    assert [row.epoch for row in read_rows(collected / "training.csv", EpochRow)] == [1, 2]
    weights = (collected / "grasp_scorer.safetensors").read_bytes()
    assert main(command) == 0
    assert (collected / "grasp_scorer.safetensors").read_bytes() == weights


def test_examples_of_other_weights_or_another_plan_are_not_learned_from(
    tiny_scorer: Make, collected: Path
) -> None:
    with pytest.raises(ConfigError, match=r"other examples.*sampling\.attempts is 6 there, 7 here"):
        train_scorer(tiny_scorer(sampling={"attempts": 7}), collected)
    plan = collected / "collection.yaml"
    written = plan.read_text()
    digest = find_model(tiny_scorer().model).sha256
    plan.write_text(written.replace(digest, "0" * 64))
    for use in (collect, train_scorer):
        with pytest.raises(ConfigError, match=f"model_sha256 is 0+ there, {digest} here"):
            use(tiny_scorer(), collected)
    plan.write_text(written)


def test_without_enough_examples_there_is_no_training(tiny_scorer: Make, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="repsam scorer collect"):
        train_scorer(tiny_scorer(), tmp_path)


def test_a_damaged_file_and_one_of_other_arrays_are_named(
    tiny_scorer: Make, collected: Path, tmp_path: Path
) -> None:
    whole = next(iter(example_files(tiny_scorer(), collected))).read_bytes()
    path = tmp_path / "broken.npz"
    for damaged in (b"PK", whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(damaged)
        with pytest.raises(DatasetError, match=r"broken\.npz: not a readable NumPy file"):
            load_examples(path)
    np.savez(path, instances=np.zeros((1, 2), np.int64))
    with pytest.raises(DatasetError, match=r"broken\.npz: not a file of executed examples"):
        load_examples(path)


@pytest.mark.parametrize("seed", [1500, 499_999, 700_000])
def test_scenes_for_tuning_and_held_out_ones_are_not_learned_from(
    tiny_scorer: Make, seed: int
) -> None:
    with pytest.raises(ConfigError, match="not all for learning"):
        tiny_scorer(strata={"few": {"first_seed": seed, "scene": {}}})


def test_strata_share_no_scene_and_can_name_files(tiny_scorer: Make) -> None:
    strata = {name: {"first_seed": seed, "scene": {}} for name, seed in (("a", 5000), ("b", 5001))}
    with pytest.raises(ConfigError, match="strata a and b share the seed 5001"):
        tiny_scorer(strata=strata)
    with pytest.raises(ConfigError, match="stratum 'a/b': only letters"):
        tiny_scorer(strata={"a/b": strata["a"]})
