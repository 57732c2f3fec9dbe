"""``repsam crossval``: what a few labelled frames bring, by method, on frames held out."""

from __future__ import annotations

import argparse

from repsam_ros.cli._options import add_experiment_arguments, add_set_argument

SUMMARY = "adapt to labelled frames by several methods and score each on frames held out"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_experiment_arguments(parser, "smoke, mosd", "crossval")
    add_set_argument(parser, "data.root=DIR")


def run(args: argparse.Namespace) -> int:
    from repsam_ros.adaptation.crossval.config import CrossvalConfig
    from repsam_ros.adaptation.crossval.experiment import crossval
    from repsam_ros.config import load_config, preset_path

    path = preset_path("cross-validation", "crossval", args.config)
    config = load_config(CrossvalConfig, path, args.overrides)
    crossval(config, args.out, device=args.device, processes=args.processes)
    print(f"written: {args.out / 'crossval.json'}, {args.out / 'crossval.md'}")
    return 0
