"""``repsam simulate``: a simulated data set with truth."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._options import add_set_argument

SUMMARY = "make a simulated data set: settled scenes, sensed and true depth, masks, twins"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the data set")
    parser.add_argument("--scenes", type=int, metavar="N", help="settled scenes")
    parser.add_argument("--seed", type=int, metavar="S", help="same seed and config, same bytes")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="YAML file, or the name of one in config/simulation/, such as glass",
    )
    parser.add_argument("--views", type=int, metavar="V", help="pictures of each scene")
    parser.add_argument("--size", type=_size, metavar="WxH", help="of a picture, such as 640x480")
    parser.add_argument("--renderer", metavar="NAME", help="fast or photorealistic")
    parser.add_argument(
        "--sensor", metavar="NAME", help="realsense (default), kinect or a YAML file"
    )
    parser.add_argument(
        "--twins",
        type=lambda text: [name for name in text.split(",") if name],
        metavar="A,B",
        help="twins of each frame: source, light, sensor, clutter, opaque, glass",
    )
    parser.add_argument(
        "--processes", type=int, default=1, metavar="P", help="on this machine (default 1)"
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="Dask scheduler that shares the work, such as tcp://host:8786, or local:2",
    )
    parser.add_argument(
        "--max-gigabytes", type=float, default=float("inf"), metavar="GB", help="never write more"
    )
    add_set_argument(parser, "scene.clutter=0.8")
    parser.epilog = "Killed, it goes on when the same command is started again."


def _size(text: str) -> list[int]:
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, got {text!r}")
    return [int(width), int(height)]


def run(args: argparse.Namespace) -> int:
    from repsam_ros.simulation.configuration import load_simulate_config
    from repsam_ros.simulation.dataset_folder import GIGABYTE
    from repsam_ros.simulation.simulate import simulate

    names = ("scenes", "seed", "views", "size", "renderer", "sensor", "twins")
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    config = load_simulate_config(given, args.config, args.overrides)
    done = simulate(
        config,
        args.out,
        processes=args.processes,
        cluster=args.cluster,
        max_bytes=args.max_gigabytes * GIGABYTE,
    )
    if done.frames:
        print(f"{done.frames} frames, {done.frames_per_minute:.0f} a minute")
    print(f"written: {args.out / 'dataset.json'}, {args.out / 'contact_sheet.png'}")
    return 0
