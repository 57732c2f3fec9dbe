"""The trainer's speed beside a bare loop: that both do the same work, not how fast it is."""

from __future__ import annotations

from pathlib import Path

import torch

from repsam_ros.adaptation.training_config import TrainConfig
from repsam_ros.adaptation.training_speed import measure
from repsam_ros.config import load_config
from repsam_ros.paths import share_dir


def test_speeds_of_both_loops_are_reported(tmp_path: Path) -> None:
    path = share_dir() / "config" / "experiments" / "smoke.yaml"
    config = load_config(TrainConfig, path, [f"data.pool.folder={tmp_path}"])
    found = measure(config, torch.device("cpu"), steps=2)
    assert found["steps"] == 2 and found["batch_size"] == config.batch_size
    assert 0 < found["ratio"] < 10
    assert found["images_per_second"] > 0 < found["bare_images_per_second"]
