"""``repsam robustness``: how scores fall as depth, light and sharpness get worse."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._dataset_options import add_dataset_arguments
from repsam_ros.cli._options import add_pipeline_arguments, given_values

SUMMARY = "curves of scores on ever worse frames of a data set"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_dataset_arguments(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="for the results")
    add_pipeline_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from repsam_ros.config import apply_overrides, build_config
    from repsam_ros.datasets import open_dataset
    from repsam_ros.evaluation.robustness.config import RobustnessConfig
    from repsam_ros.evaluation.robustness.run import measure

    names = ("dataset", "root", "split", "model", "backend", "device")
    content = {**given_values(args, names), "options": args.options}
    content = apply_overrides(content, args.overrides)
    config = build_config(RobustnessConfig, content, "repsam robustness")
    dataset = open_dataset(config.dataset, Path(config.root), config.split, **config.options)
    pipeline = config.open()
    measure(dataset, pipeline.segment, args.out, subject=asdict(pipeline.info), config=config)
    print((args.out / "robustness.md").read_text(encoding="utf-8"))
    print(f"written: {args.out / 'robustness.md'}, {args.out / 'robustness.json'}")
    return 0
