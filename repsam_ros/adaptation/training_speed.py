"""How fast the trainer is beside a bare PyTorch loop on the same network, pictures and optimiser.

``python -m repsam_ros.adaptation.training_speed CONFIG [--set KEY=VALUE]`` prints JSON. What the
trainer adds is the moving average, clipping, the schedule, metrics and the log. Both take turns,
step by step, so that other load on the machine hits both alike; steps are paired.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import torch

from repsam_ros.adaptation.picture_sources import PictureSource
from repsam_ros.adaptation.training import Trainer
from repsam_ros.adaptation.training_config import TrainConfig
from repsam_ros.backends.torch import find_device
from repsam_ros.config import load_config

_WARM_UP = 3


def measure(config: TrainConfig, device: torch.device, steps: int) -> dict[str, Any]:
    """Seconds of each of ``steps`` pairs of steps after a warm-up, and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        trainer, bare = (Trainer(config, Path(folder), device) for _ in range(2))
        with closing(trainer.open_source()) as source, closing(bare.open_source()) as other:
            pairs = []
            for step in range(_WARM_UP + steps):
                ours_s = _seconds(partial(trainer.train_step, source), device)
                bare_s = _seconds(partial(_bare_step, bare, other, step), device)
                pairs.append((ours_s, bare_s))
    del pairs[:_WARM_UP]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "method": config.method,
        "batch_size": config.batch_size,
        "images_per_second": round(config.batch_size / ours, 3),
        "bare_images_per_second": round(config.batch_size / theirs, 3),
        "ratio": round(statistics.median(b / a for a, b in pairs), 4),
        "steps": steps,
        "threads": torch.get_num_threads(),
        "device": str(device),
        "torch": str(torch.__version__),
        "load_average": os.getloadavg()[0],
    }


def _bare_step(trainer: Trainer, source: PictureSource, step: int) -> None:
    draw = torch.Generator(trainer.device).manual_seed(step)
    pictures = source.batch(step, draw)
    trainer.optimizer.zero_grad(set_to_none=True)
    loss, _ = trainer.objective(pictures, draw)
    loss.backward()
    trainer.optimizer.step()


def _seconds(function: Callable[[], object], device: torch.device) -> float:
    start_s = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start_s


def main() -> None:
    """Reads the command line and prints the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    args = parser.parse_args()
    config = load_config(TrainConfig, args.config, args.overrides)
    print(json.dumps(measure(config, find_device(args.device), args.steps), indent=1))


if __name__ == "__main__":
    main()
