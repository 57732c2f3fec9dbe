"""``repsam train``: trains a network on simulated scenes or on the frames of a data set.

Several processes share each batch under PyTorch's launcher, which also pays on one machine, where
each process keeps one core busy: ``torchrun --nproc-per-node 2 -m repsam_ros.cli.main train ...``.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from repsam_ros.cli._options import add_set_argument

SUMMARY = "train a network from a configuration"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("config", type=Path, help="YAML file, see config/experiments/")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1 ...")
    parser.add_argument(
        "--max-seconds", type=float, default=math.inf, help="stop early, resumable, after this time"
    )
    add_set_argument(parser, "learning_rate=1e-4")


def run(args: argparse.Namespace) -> int:
    """Runs the verb; returns the exit code."""
    from repsam_ros.adaptation.training import train
    from repsam_ros.adaptation.training_config import TrainConfig
    from repsam_ros.config import load_config

    config = load_config(TrainConfig, args.config, args.overrides)
    weights = train(config, args.out, args.device, args.resume, args.max_seconds)
    print(weights)
    return 0
