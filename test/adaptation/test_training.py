"""The trainer: goes on after a stop as if nothing had happened, and refuses what does not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from repsam_ros.adaptation.training import TrainConfig, Trainer, learning_rate, train
from repsam_ros.config import load_config
from repsam_ros.errors import CheckpointError, ConfigError
from repsam_ros.network.weights import load_network
from repsam_ros.paths import share_dir


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    folder = tmp_path_factory.mktemp("data")
    path = share_dir() / "config" / "experiments" / "smoke.yaml"
    return load_config(TrainConfig, path, [f"data.pool.folder={folder}"])


def test_a_stopped_and_resumed_run_equals_an_unbroken_one(
    config: TrainConfig, tmp_path: Path
) -> None:
    whole = load_file(train(config, tmp_path / "whole", "cpu", False, float("inf")))
    broken = tmp_path / "broken"
    train(config, broken, "cpu", False, max_seconds=0)
    lines = (broken / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == [1]
    resumed = load_file(train(config, broken, "cpu", True, float("inf")))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_weights_of_a_run_load_by_path_and_carry_their_configuration(
    config: TrainConfig, tmp_path: Path
) -> None:
    path = train(config, tmp_path, "cpu", False, max_seconds=0)
    network, model = load_network(str(path))
    assert model.path == path
    assert len(model.sha256) == 64
    assert network.spec.canvas_px == (240, 320)
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == config.seed


def test_resume_refuses_another_configuration(config: TrainConfig, tmp_path: Path) -> None:
    train(config, tmp_path, "cpu", False, max_seconds=0)
    other = load_config(
        TrainConfig,
        share_dir() / "config" / "experiments" / "smoke.yaml",
        [f"data.pool.folder={config.data.pool.folder}", "learning_rate=0.5"],
    )
    with pytest.raises(CheckpointError, match="another configuration"):
        train(other, tmp_path, "cpu", True, 0)


def test_resume_names_a_missing_or_broken_checkpoint(config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(config, tmp_path, torch.device("cpu"))
    with pytest.raises(CheckpointError, match=r"last\.pt"):
        trainer.resume()
    trainer.save()
    data = trainer.checkpoint_path.read_bytes()
    trainer.checkpoint_path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"last\.pt"):
        trainer.resume()


def test_a_killed_rendering_leaves_no_half_shard(config: TrainConfig, tmp_path: Path) -> None:
    assert config.data.pool is not None and config.data.pool.folder is not None
    shutil.copytree(config.data.pool.folder, tmp_path / "data")
    for shard in (tmp_path / "data").glob("pixels-*.npy"):
        shard.unlink()
    again = load_config(
        TrainConfig,
        share_dir() / "config" / "experiments" / "smoke.yaml",
        [f"data.pool.folder={tmp_path / 'data'}"],
    )
    train(again, tmp_path / "again", "cpu", False, max_seconds=0)
    for shard in Path(config.data.pool.folder).glob("*.npy"):
        assert (tmp_path / "data" / shard.name).read_bytes() == shard.read_bytes()


def test_learning_rate_warms_up_and_falls() -> None:
    config = TrainConfig(steps=100, warmup_steps=10, learning_rate=1.0)
    rates = [learning_rate(config, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] < 0.02


def test_impossible_values_are_refused() -> None:
    with pytest.raises(ConfigError, match="precision"):
        TrainConfig(precision="int3")
    with pytest.raises(ConfigError, match="at least 1"):
        TrainConfig(steps=0)
