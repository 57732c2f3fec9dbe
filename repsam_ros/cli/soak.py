"""``repsam soak``: the nodes for an hour, and what they lost, kept and took."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._bag_topics import add_topic_arguments, given_topics
from repsam_ros.cli._options import given_values

SUMMARY = "run the nodes for long on a bag's frames: crashes, memory, every input accounted for"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, metavar="BAG", help="whose first frames are sent again")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="for the results")
    parser.add_argument("--minutes", type=float, default=60.0, help="default %(default)g")
    parser.add_argument(
        "--rate", type=float, default=10.0, metavar="HZ", help="default %(default)g"
    )
    parser.add_argument(
        "--max-growth",
        type=float,
        default=5.0,
        metavar="MB/H",
        help="largest trend of a node's memory, judged in 20 minutes or more; default %(default)g",
    )
    for name in ("model", "backend", "device"):
        parser.add_argument(f"--{name}", metavar="NAME", help=f"parameter {name} of perception")
    add_topic_arguments(parser)
    parser.epilog = "The exit code is 1 where there are problems; DIR/soak.json names them."


def run(args: argparse.Namespace) -> int:
    from repsam_ros.bags import BagTopics, bag_info

    bag_info(args.bag)  # a broken bag is named where ROS is missing too

    from repsam_ros.ros.soak import SoakSettings, run_soak

    settings = SoakSettings(
        minutes=args.minutes,
        rate_hz=args.rate,
        max_growth_mb_h=args.max_growth,
        topics=BagTopics(**given_topics(args)),
        parameters=given_values(args, ("model", "backend", "device")),
    )
    summary = run_soak(args.bag, args.out, settings)
    perception = summary["perception"]
    print(f"{summary['frames_sent']} frames sent, {perception['published']} published")
    print(f"dropped: {perception['dropped'] or 'none'}")
    for name, usage in summary["usage"].items():
        print(f"{name}: {usage['memory_last_mb']} MB, {usage['memory_growth_mb_h']} MB an hour")
    for problem in summary["problems"]:
        print(f"problem: {problem}")
    print(f"\nwritten: {args.out / 'soak.json'}, {args.out / 'memory.png'}")
    return 1 if summary["problems"] else 0
