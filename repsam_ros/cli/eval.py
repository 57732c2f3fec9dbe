"""``repsam eval``: the pipeline, or given label maps, against the truth of a data set."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._dataset_options import add_dataset_arguments
from repsam_ros.cli._options import add_pipeline_arguments, given_values

SUMMARY = "score the pipeline, or given label maps, on a data set"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_dataset_arguments(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="for the results")
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="DIR",
        help="score DIR/NAME.png (uint16 ids, 0 = background) instead of running the pipeline",
    )
    parser.add_argument(
        "--see",
        metavar="WHAT",
        help="what it gets of a frame: rgbd (default), rgb (no depth) or depth (one grey)",
    )
    add_pipeline_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from repsam_ros.config import apply_overrides, build_config, to_plain
    from repsam_ros.datasets import open_dataset
    from repsam_ros.evaluation.config import EvaluationConfig, LabelMapConfig
    from repsam_ros.evaluation.evaluate import evaluate, predict_from_files, predict_with
    from repsam_ros.evaluation.report import text_table

    names = ("dataset", "root", "split", "labels", "see", "model", "backend", "device")
    content = {**given_values(args, names), "options": args.options}
    content = apply_overrides(content, args.overrides)
    config: EvaluationConfig | LabelMapConfig
    if args.labels is None:
        config = build_config(EvaluationConfig, content, "repsam eval")
    else:
        config = build_config(LabelMapConfig, content, "repsam eval --labels")
    dataset = open_dataset(config.dataset, Path(config.root), config.split, **config.options)
    subject: dict[str, str]
    if isinstance(config, LabelMapConfig):
        predict = predict_from_files(Path(config.labels), dataset.names)
        subject = {"labels": config.labels}
    else:
        pipeline = config.open()
        predict = predict_with(pipeline.segment, config.see)
        subject = asdict(pipeline.info)
    metrics = evaluate(
        dataset,
        predict,
        args.out,
        subject=subject,
        config=to_plain(config),
        bootstrap=config.bootstrap,
    )
    print(text_table(metrics))
    print(f"\nwritten: {args.out / 'metrics.json'}, {args.out / 'report.html'}")
    return 0
