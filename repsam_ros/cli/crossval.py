"""``repsam crossval``: what a few labelled frames bring, by method, on frames held out."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._options import add_set_argument

SUMMARY = "adapt to labelled frames by several methods and score each on frames held out"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config", metavar="CONFIG", help="smoke, mosd, or a YAML file like config/crossval/*"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="of the experiment")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1 ...")
    parser.add_argument(
        "--processes", type=int, default=1, metavar="P", help="runs at a time (default 1)"
    )
    add_set_argument(parser, "data.root=DIR")
    parser.epilog = "Killed, it goes on when the same command is started again."


def run(args: argparse.Namespace) -> int:
    from repsam_ros.adaptation.crossval.config import CrossvalConfig
    from repsam_ros.adaptation.crossval.experiment import crossval
    from repsam_ros.config import load_config, preset_path

    path = preset_path("cross-validation", "crossval", args.config)
    config = load_config(CrossvalConfig, path, args.overrides)
    crossval(config, args.out, device=args.device, processes=args.processes)
    print(f"written: {args.out / 'crossval.json'}, {args.out / 'crossval.md'}")
    return 0
