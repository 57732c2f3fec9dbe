"""``repsam demo``: the main job on scenes that the project renders itself."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "play a rendered bag to the running nodes and draw masks and grasps"
_RATE_HZ = 1.0  # a slow machine keeps up, and nothing is dropped as stale
_SEED = 7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out/demo"),
        metavar="DIR",
        help="for the results, default %(default)s",
    )
    parser.add_argument(
        "--bag",
        type=Path,
        help="play this bag; default: DIR/bag, rendered where it does not hold N frames",
    )
    parser.add_argument(
        "--frames", type=int, default=6, metavar="N", help="to render, default %(default)s"
    )


def run(args: argparse.Namespace) -> int:
    from repsam_ros.ros.demo import make_demo_bag, run_demo

    bag = args.bag
    if bag is None:
        bag = args.out / "bag"
        make_demo_bag(bag, _SEED, args.frames, _RATE_HZ)
    print(run_demo(bag, args.out))
    return 0
