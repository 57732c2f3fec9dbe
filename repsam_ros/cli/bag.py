"""``repsam bag``: makes, inspects, checks and plays RGB-D bags."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._bag_topics import (
    add_depth_scale_argument,
    add_topic_arguments,
    given_topics,
)
from repsam_ros.cli._dataset_options import add_option_argument

SUMMARY = "make, inspect, check and play RGB-D bags (rosbag2)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def add_action(name: str, purpose: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=purpose, description=purpose, allow_abbrev=False)

    make = add_action("make", "write the frames of a data set as a bag")
    make.add_argument("--dataset", required=True, metavar="NAME", help="format of the data set")
    make.add_argument("--root", required=True, type=Path, metavar="DIR", help="where it lies")
    add_option_argument(make)
    make.add_argument("--out", required=True, type=Path, metavar="BAG", help="folder to write")
    make.add_argument("--rate", type=float, default=2.0, metavar="HZ", help="default %(default)s")
    make.add_argument(
        "--storage", choices=("sqlite3", "mcap"), default="sqlite3", help="default %(default)s"
    )
    make.add_argument(
        "--labels-topic", default="", metavar="TOPIC", help="write the true label maps as well"
    )
    make.add_argument("--overwrite", action="store_true", help="replace a bag at --out")

    play = add_action("play", "publish a bag over ROS, reliable, at its own rate")
    play.add_argument("bag", type=Path, metavar="BAG", help="folder of a rosbag2 bag")
    play.add_argument(
        "--rate-factor", type=float, default=1.0, metavar="X", help="times as fast, default 1"
    )
    play.add_argument("--loop", action="store_true", help="start again at the end, until Ctrl-C")
    play.add_argument(
        "--wait-s", type=float, default=60.0, metavar="S", help="longest wait for subscribers"
    )
    add_topic_arguments(play)

    info = add_action("info", "print topics, counts and duration")
    info.add_argument("bag", type=Path, metavar="BAG", help="folder of a rosbag2 bag")

    check = add_action("check", "read a whole bag and name what is wrong with it")
    check.add_argument("bag", type=Path, metavar="BAG", help="folder of a rosbag2 bag")
    add_topic_arguments(check)
    add_depth_scale_argument(check)


def run(args: argparse.Namespace) -> int:
    actions = {"make": _make, "play": _play, "info": _info, "check": _check}
    return actions[args.action](args)


def _make(args: argparse.Namespace) -> int:
    from repsam_ros.bags import write_bag
    from repsam_ros.datasets import open_dataset
    from repsam_ros.progress import track

    dataset = open_dataset(args.dataset, args.root, **args.options)
    count = write_bag(
        args.out,
        track(dataset, len(dataset), "bag"),
        args.rate,
        args.storage,
        labels_topic=args.labels_topic,
        overwrite=args.overwrite,
    )
    print(f"{args.out}: {count} frames at {args.rate:g} Hz")
    return 0


def _play(args: argparse.Namespace) -> int:
    from repsam_ros.bags import BagTopics, bag_info

    bag_info(args.bag)  # a broken bag is named where ROS is missing too

    from repsam_ros.ros.bag_player import play_bag
    from repsam_ros.ros.processes import stop_event

    count = play_bag(
        args.bag,
        rate_factor=args.rate_factor,
        loop=args.loop,
        wait_s=args.wait_s,
        topics=BagTopics(**given_topics(args)),
        stop=stop_event(),
    )
    print(f"{args.bag}: {count} messages published")
    return 0


def _info(args: argparse.Namespace) -> int:
    from repsam_ros.bags import bag_info

    info = bag_info(args.bag)
    named = f", {len(info.names)} named frames" if info.names else ""
    print(f"{info.path}: {info.storage}, {info.message_count} messages", end="")
    print(f" in {info.duration_ns / 1e9:g} s{named}")
    for topic in info.topics:
        print(f"  {topic.count:6d}  {topic.name}  {topic.msgtype}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from repsam_ros.bags import BagTopics, check_bag
    from repsam_ros.errors import DatasetError

    report = check_bag(args.bag, BagTopics(**given_topics(args)), args.depth_scale_m)
    for topic in report.info.topics:
        rate = report.rates_hz.get(topic.name)
        shown = "" if rate is None else f"  {rate:.3g} Hz"
        encodings = " ".join(report.encodings.get(topic.name, ()))
        print(f"  {topic.count:6d}  {topic.name}{shown}  {encodings}".rstrip())
    print(f"  {report.pairs:6d}  pairs, {report.frames} usable frames")
    if report.problems:
        raise DatasetError(f"{args.bag}: {'; '.join(report.problems)}")
    return 0
