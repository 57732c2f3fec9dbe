"""``repsam replay``: a bag through the pipeline, offline or through the running nodes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repsam_ros.cli._bag_topics import (
    add_depth_scale_argument,
    add_topic_arguments,
    given_topics,
)
from repsam_ros.cli._options import add_pipeline_arguments, given_values
from repsam_ros.errors import ConfigError

if TYPE_CHECKING:
    from repsam_ros.replay.config import ReplayConfig

SUMMARY = "replay a recorded bag through the pipeline, or through the nodes with --ros"
_NAMESPACE = "repsam"


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
        "--params",
        type=Path,
        metavar="FILE",
        help="ROS parameters of the perception node: the bag is seen as that node would see it",
    )
    parser.add_argument(
        "--namespace", metavar="NAME", help=f"with --params: of that node, default {_NAMESPACE}"
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
    from repsam_ros.bags import bag_info
    from repsam_ros.replay.report import text_table

    if args.rate_factor is not None and not args.ros:
        raise ConfigError("--rate-factor: only with --ros; offline, frames come one by one")
    if args.namespace is not None and args.params is None:
        raise ConfigError("--namespace: only with --params")
    config = _config(args)
    bag_info(args.bag)  # a wrong path should not wait for the model, nor for ROS
    summary = _through_nodes(args, config) if args.ros else _offline(args, config)
    print(text_table(summary))
    print(f"\nwritten: {args.out / 'summary.json'}, report.html, labels/, overlays/")
    return 0


def _config(args: argparse.Namespace) -> ReplayConfig:
    from repsam_ros.config import apply_overrides, build_config
    from repsam_ros.node_parameters import COMMON_PARAMETERS, read_parameters
    from repsam_ros.perception.parameters import PARAMETERS
    from repsam_ros.replay.config import ReplayConfig, replay_content

    content: dict[str, Any] = {"topics": {}}
    if args.params is not None:
        namespace = _NAMESPACE if args.namespace is None else args.namespace
        node = "/".join(["", *filter(None, namespace.split("/")), "perception"])
        values = read_parameters(args.params, node, [*COMMON_PARAMETERS, *PARAMETERS])
        content = replay_content(values, node)
    content |= given_values(args, ("bag", "model", "backend", "device", "depth_scale_m"))
    content["topics"] |= given_topics(args)
    content["truth"] = _given_truth(args)
    return build_config(ReplayConfig, apply_overrides(content, args.overrides), "repsam replay")


def _offline(args: argparse.Namespace, config: ReplayConfig) -> dict[str, Any]:
    from repsam_ros.replay.run import replay_bag

    pipeline = config.open()
    _save(args, config)
    return replay_bag(Path(config.bag), args.out, pipeline, config)


def _through_nodes(args: argparse.Namespace, config: ReplayConfig) -> dict[str, Any]:
    from repsam_ros.ros.live_replay import replay_through_nodes

    rate_factor = 1.0 if args.rate_factor is None else args.rate_factor
    summary = replay_through_nodes(Path(config.bag), args.out, config, rate_factor)
    _save(args, config)
    return summary


def _save(args: argparse.Namespace, config: ReplayConfig) -> None:

    from repsam_ros.config import to_plain, write_yaml

    write_yaml(args.out / "config.yaml", to_plain(config))


def _given_truth(args: argparse.Namespace) -> dict[str, str]:
    given = {"labels_dir": args.labels, "labels_topic": args.labels_topic}
    return {name: value for name, value in given.items() if value}
