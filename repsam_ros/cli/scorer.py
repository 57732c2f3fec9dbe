"""``repsam scorer``: the network behind the planner ``learned``, trained in simulated physics."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._options import add_set_argument

SUMMARY = "execute grasps in simulated physics and train the grasp scorer on them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("collect", "train"), help="examples first, then network")
    parser.add_argument(
        "config", metavar="CONFIG", help="grasp_scorer, or a YAML file like config/scorer/*"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="of the scorer")
    parser.add_argument(
        "--processes", type=int, default=1, metavar="P", help="scenes at a time (default 1)"
    )
    parser.epilog = "Collection, killed, goes on when the same command is started again."
    add_set_argument(parser, "scenes=20")


def run(args: argparse.Namespace) -> int:
    from repsam_ros.config import load_config, preset_path
    from repsam_ros.trials.scorer.settings import ScorerConfig

    path = preset_path("configuration of scorers", "scorer", args.config)
    config = load_config(ScorerConfig, path, args.overrides)
    if args.action == "collect":
        from repsam_ros.trials.scorer.collection import collect

        print(f"written: {len(collect(config, args.out, processes=args.processes))} scenes")
        return 0
    from repsam_ros.trials.scorer.training import train_scorer

    print(train_scorer(config, args.out))
    return 0
