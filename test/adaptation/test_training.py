"""The trainer: goes on after a stop as if nothing had happened, and refuses what does not fit."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from repsam_ros.adaptation.training import Trainer, train
from repsam_ros.adaptation.training_config import TrainConfig, learning_rate
from repsam_ros.config import load_config, to_plain
from repsam_ros.errors import BackendError, CheckpointError, ConfigError, DatasetError
from repsam_ros.images import write_png
from repsam_ros.network.build import NetworkConfig, build_network
from repsam_ros.network.weights import load_network, save_weights
from repsam_ros.paths import share_dir

CONFIG = share_dir() / "config" / "experiments" / "smoke.yaml"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums of one thread are the same in every process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def smoke(pool: Path, *changes: str) -> TrainConfig:
    return load_config(TrainConfig, CONFIG, [f"data.pool.folder={pool}", *changes])


@pytest.fixture(scope="module")
def config(pool: Path) -> TrainConfig:
    return smoke(pool)


@pytest.fixture(scope="module")
def whole(config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an unbroken run."""
    return train(config, tmp_path_factory.mktemp("whole"), "cpu", False, float("inf")).parent


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(run / "weights.safetensors")


def without_clock(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("seconds", "waiting")}


def assert_same_run(first: Path, second: Path) -> None:
    assert [without_clock(row) for row in rows(first)] == [
        without_clock(row) for row in rows(second)
    ]
    a, b = weights(first), weights(second)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def command(*arguments: object) -> list[str]:
    return ["-m", "repsam_ros.cli.main", "train", *map(str, arguments)]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def test_a_stopped_and_resumed_run_equals_an_unbroken_one(
    config: TrainConfig, whole: Path, tmp_path: Path
) -> None:
    train(config, tmp_path, "cpu", False, max_seconds=0)
    assert [row["step"] for row in rows(tmp_path)] == [1]
    train(config, tmp_path, "cpu", True, float("inf"))
    assert_same_run(whole, tmp_path)
    assert all(0 <= row["waiting"] <= 1 for row in rows(tmp_path))


def test_a_killed_and_resumed_run_equals_an_unbroken_one(
    config: TrainConfig, pool: Path, whole: Path, tmp_path: Path
) -> None:
    log = tmp_path / "metrics.jsonl"
    arguments = command(CONFIG, "--out", tmp_path, "--set", f"data.pool.folder={pool}")
    process = subprocess.Popen([sys.executable, *arguments], env=ENVIRONMENT)
    # Step 3 is logged and not saved: the run goes on from step 2.
    while process.poll() is None and (not log.is_file() or log.read_text().count("\n") < 3):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    with log.open("a") as half_written:
        half_written.write('{"step": 4, "seco')
    train(config, tmp_path, "cpu", True, float("inf"))
    assert_same_run(whole, tmp_path)


def test_a_checkpoint_never_stands_for_weights_that_were_not_written(
    pool: Path, whole: Path, tmp_path: Path
) -> None:
    config = smoke(pool, "save_every=4")
    train(config, tmp_path, "cpu", False, max_seconds=0)
    result = tmp_path / "weights.safetensors"
    result.unlink()
    (result / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match="weights"):
        train(config, tmp_path, "cpu", True, float("inf"))
    shutil.rmtree(result)
    train(config, tmp_path, "cpu", True, float("inf"))
    assert_same_run(whole, tmp_path)


def frames(root: Path, count: int) -> Path:
    """A mOSD folder of ``count`` frames with two objects and pixels without truth."""
    rng = np.random.default_rng(0)
    for index in range(count):
        label = np.full((60, 80), 1, np.uint16)
        label[5:40, 10:30], label[20:50, 40:60], label[:3] = 20, 30, 0
        depth = np.where(label >= 20, 900, 1000).astype(np.uint16)
        name = f"frame{index}.png"
        write_png(root / "rgb" / name, rng.integers(0, 255, (60, 80, 3)).astype(np.uint8))
        write_png(root / "depth" / name, depth)
        write_png(root / "label" / name, label)
    return root


def on_frames(root: Path, **more: object) -> str:
    return "data=" + json.dumps({"dataset": {"name": "mosd", "root": str(root), **more}})


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Two processes with half a batch each do the steps of one process with the batch.

    Each draws its own prompts, and norms and mean losses are those of its half. Neither makes a
    difference where norms are frozen, masks, which prompts ask for, weigh nothing, and each
    picture has as many pixels that count. Pictures differ, so gradients of the halves do.
    """
    base = tmp_path / "base.safetensors"
    save_weights(base, build_network(NetworkConfig()).state_dict(), NetworkConfig(), {})
    changes = [
        on_frames(frames(tmp_path / "frames", 8), workers=0, augmentation=None),
        "method=lora",
        "options={parts: []}",
        f"start_from={base}",
        "losses={focal: 0, dice: 0, quality: 0, heatmap: 0, foreground: 1}",
        "depth_dropout=0",
        "color_dropout=0",
        "batch_size=4",
        "accumulate=2",
        "learning_rate=0.01",
        "steps=3",
    ]
    two = tmp_path / "two"
    overrides = [part for change in changes for part in ("--set", change)]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [sys.executable, *launcher, *command(CONFIG, "--out", two, *overrides)],
        env=ENVIRONMENT,
        check=True,
        timeout=300,
    )
    one = train(load_config(TrainConfig, CONFIG, changes), tmp_path / "one", "cpu", False, 1e9)
    for a, b in zip(rows(one.parent), rows(two), strict=True):
        for name in ("loss", "foreground", "gradient_norm"):
            assert a[name] == pytest.approx(b[name], rel=1e-4, abs=2e-5), name
    first, second = load_file(one), load_file(two / one.name)
    for name, value in first.items():
        assert torch.allclose(value, second[name], atol=1e-3), name
    assert max(float(value.abs().max()) for n, value in first.items() if "lora_B" in n) > 0.01


def test_real_frames_are_trained_on_and_a_broken_one_is_named(tmp_path: Path) -> None:
    root = frames(tmp_path / "frames", 3)
    config = load_config(TrainConfig, CONFIG, [on_frames(root, workers=1), "steps=2"])
    train(config, tmp_path / "run", "cpu", False, float("inf"))
    assert [row["step"] for row in rows(tmp_path / "run")] == [1, 2]
    assert not multiprocessing.active_children(), "workers end with the training"
    broken = root / "depth" / "frame1.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(DatasetError, match=r"frame1\.png"):
        train(config, tmp_path / "other", "cpu", False, float("inf"))
    assert not multiprocessing.active_children(), "workers end with a failure"


def test_frames_without_truth_teach_nothing(tmp_path: Path) -> None:
    root = frames(tmp_path / "frames", 1)
    write_png(root / "label" / "frame0.png", np.zeros((60, 80), np.uint16))
    change = on_frames(root, workers=0, augmentation=None)
    config = load_config(TrainConfig, CONFIG, [change, "steps=1", "warmup_steps=1"])
    train(config, tmp_path / "run", "cpu", False, float("inf"))
    assert [(row["loss"], row["gradient_norm"]) for row in rows(tmp_path / "run")] == [(0, 0)]


def test_a_run_that_diverges_keeps_its_last_good_state(pool: Path, tmp_path: Path) -> None:
    config = smoke(pool, "learning_rate=1.0e+30", "save_every=1")
    with pytest.raises(CheckpointError, match=r"is nan at step 2.*last\.pt holds .* step 1"):
        train(config, tmp_path, "cpu", False, float("inf"))
    assert [row["step"] for row in rows(tmp_path)] == [1]
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert state["step"] == 1
    assert all(value.isfinite().all() for value in state["tuned"].values())


def test_a_run_that_starts_anew_drops_the_rows_of_the_old_one(
    config: TrainConfig, tmp_path: Path
) -> None:
    for _ in range(2):
        (tmp_path / "last.pt").unlink(missing_ok=True)  # broken before its first checkpoint
        train(config, tmp_path, "cpu", False, max_seconds=0)
    assert [row["step"] for row in rows(tmp_path)] == [1]


def test_event_files_for_tensorboard(pool: Path, tmp_path: Path) -> None:
    config = smoke(pool, "tensorboard=true")
    if importlib.util.find_spec("tensorboard") is None:
        with pytest.raises(BackendError, match="pip install tensorboard"):
            train(config, tmp_path, "cpu", False, max_seconds=0)
        return
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(config, tmp_path, "cpu", False, max_seconds=0)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1]


def test_weights_of_a_run_load_by_path_and_carry_their_configuration(
    config: TrainConfig, whole: Path
) -> None:
    path = whole / "weights.safetensors"
    network, model = load_network(str(path))
    assert model.path == path
    assert len(model.sha256) == 64
    assert network.spec.canvas_px == (240, 320)
    assert json.loads((whole / "config.json").read_text()) == to_plain(config)


def test_a_training_is_not_overwritten(config: TrainConfig, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    log = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    with pytest.raises(ConfigError, match="--resume"):
        train(config, tmp_path / "run", "cpu", False, 0)
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == log


def test_resume_refuses_another_configuration(pool: Path, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    with pytest.raises(
        CheckpointError, match=r"another configuration: learning_rate is .* there, 0\.5"
    ):
        train(smoke(pool, "learning_rate=0.5"), tmp_path / "run", "cpu", True, 0)
    kept = (tmp_path / "run" / "config.json").read_bytes()
    assert kept == (whole / "config.json").read_bytes()


def test_a_checkpoint_from_before_a_key_was_known_is_resumed(
    config: TrainConfig, whole: Path, tmp_path: Path
) -> None:
    state = torch.load(whole / "last.pt", weights_only=True)
    known = json.loads(state["config"])
    del known["tensorboard"]
    torch.save({**state, "config": json.dumps(known)}, tmp_path / "last.pt")
    assert Trainer(config, tmp_path, torch.device("cpu"), resume=True).step == config.steps


def test_resume_names_a_missing_or_broken_checkpoint(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"last\.pt"):
        Trainer(config, tmp_path, torch.device("cpu"), resume=True)
    trainer = Trainer(config, tmp_path, torch.device("cpu"))
    trainer.save()
    data = trainer.checkpoint_path.read_bytes()
    trainer.checkpoint_path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"last\.pt"):
        Trainer(config, tmp_path, torch.device("cpu"), resume=True)


def test_a_killed_rendering_leaves_no_half_shard(pool: Path, whole: Path, tmp_path: Path) -> None:
    assert whole.is_dir()  # the run that filled the pool
    shutil.copytree(pool, tmp_path / "data")
    for shard in (tmp_path / "data").glob("pixels-*.npy"):
        shard.unlink()
    train(smoke(tmp_path / "data"), tmp_path / "again", "cpu", False, max_seconds=0)
    for shard in pool.glob("*.npy"):
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
    with pytest.raises(ConfigError, match=r"ema_decay must lie in 0\.\.1, got 1\.5"):
        TrainConfig(ema_decay=1.5)
    with pytest.raises(ConfigError, match=r"background_prompts must lie in 0\.\.1, got -0\.1"):
        TrainConfig(background_prompts=-0.1)
    with pytest.raises(ConfigError, match=r"learning_rate must be positive, got -0\.001"):
        TrainConfig(learning_rate=-1e-3)


def test_a_picture_that_loses_depth_and_colour_is_refused() -> None:
    """Shares of lost depth and lost colour of more than all pictures would overlap."""
    TrainConfig(depth_dropout=0.6, color_dropout=0.4)
    with pytest.raises(ConfigError, match=r"depth_dropout and color_dropout .* 0\.6 and 0\.5"):
        TrainConfig(depth_dropout=0.6, color_dropout=0.5)


def test_a_warm_up_that_outlasts_the_training_is_refused() -> None:
    """The learning rate that was asked for would never be reached."""
    with pytest.raises(ConfigError, match="warmup_steps 500 .* steps 200"):
        TrainConfig(steps=200)


@pytest.mark.parametrize("device", ["no_such_device", "cuda:99"])
def test_a_device_that_is_not_there_is_named(
    config: TrainConfig, tmp_path: Path, device: str
) -> None:
    if device == "cuda:99" and torch.cuda.is_available():
        pytest.skip("has CUDA devices")
    with pytest.raises(BackendError, match=device):
        train(config, tmp_path, device, False, 0)
