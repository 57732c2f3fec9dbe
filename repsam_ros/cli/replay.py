"""``repsam replay``: a bag through the pipeline, offline or through the running nodes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from repsam_ros.cli._bag_topics import (
    add_depth_scale_argument,
    add_topic_arguments,
    given_topics,
)
from repsam_ros.cli._options import add_pipeline_arguments, given_values
from repsam_ros.errors import ConfigError

SUMMARY = "replay a recorded bag through the pipeline, or through the nodes with --ros"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, metavar="BAG", help="folder of a rosbag2 bag")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="for the results")
    parser.add_argument(
        "--ros",
        action="store_true",
        help="start the nodes and play the bag to them at its recorded rate, reliable",
    )
    parser.add_argument(
        "--rate-factor", type=float, metavar="X", help="with --ros: times as fast as recorded"
    )
    parser.add_argument(
        "--labels", metavar="DIR", help="score against NAME.png (or STAMP_NS.png) in this folder"
    )
    parser.add_argument(
        "--labels-topic", metavar="TOPIC", help="score against 16UC1 label maps in the bag"
    )
    add_topic_arguments(parser)
    add_depth_scale_argument(parser)
    add_pipeline_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from repsam_ros.evaluation.replay_report import text_table

    summary = _through_nodes(args) if args.ros else _offline(args)
    print(text_table(summary))
    print(f"\nwritten: {args.out / 'summary.json'}, report.html, labels/, overlays/")
    return 0


def _offline(args: argparse.Namespace) -> dict[str, Any]:
    import yaml

    from repsam_ros.bags import bag_info
    from repsam_ros.config import apply_overrides, build_config, to_plain
    from repsam_ros.evaluation.replay import replay_bag
    from repsam_ros.evaluation.replay_config import ReplayConfig
    from repsam_ros.paths import atomic_path

    if args.rate_factor is not None:
        raise ConfigError("--rate-factor: only with --ros; offline, frames come one by one")
    content = given_values(args, ("bag", "model", "backend", "device", "depth_scale_m"))
    content["topics"] = given_topics(args)
    content["truth"] = _given_truth(args)
    config = build_config(ReplayConfig, apply_overrides(content, args.overrides), "repsam replay")
    bag_info(Path(config.bag))  # a wrong path should not wait for the model
    pipeline = config.open()
    with atomic_path(args.out / "config.yaml") as temporary:
        temporary.write_text(yaml.safe_dump(to_plain(config), sort_keys=False))
    return replay_bag(Path(config.bag), args.out, pipeline, config)


def _through_nodes(args: argparse.Namespace) -> dict[str, Any]:
    from repsam_ros.bags import BagTopics, bag_info
    from repsam_ros.evaluation.replay_truth import Truth

    for name, value in (("--depth-scale-m", args.depth_scale_m), ("--set", args.overrides)):
        if value:
            raise ConfigError(f"{name}: not with --ros; the nodes read config/perception.yaml")
    bag_info(args.bag)  # a broken bag is named where ROS is missing too

    from repsam_ros.ros.live_replay import replay_through_nodes

    chosen = given_values(args, ("model", "backend", "device", "rate_factor"))
    topics, truth = BagTopics(**given_topics(args)), Truth(**_given_truth(args))
    return replay_through_nodes(args.bag, args.out, topics=topics, truth=truth, **chosen)


def _given_truth(args: argparse.Namespace) -> dict[str, str]:
    given = {"labels_dir": args.labels, "labels_topic": args.labels_topic}
    return {name: value for name, value in given.items() if value}
