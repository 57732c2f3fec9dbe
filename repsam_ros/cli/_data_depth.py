"""``repsam data depth``: how a data set's depth fails, alone or beside another's."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._dataset_options import add_dataset_positions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_dataset_positions(parser)
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="for depth.json and depth.md"
    )
    parser.add_argument("--title", metavar="TEXT", help="its name in tables, default NAME")
    parser.add_argument(
        "--against",
        type=Path,
        action="append",
        default=[],
        metavar="JSON",
        help="depth.json of another data set for a further column of depth.md; repeatable",
    )


def run(args: argparse.Namespace) -> int:
    from repsam_ros.datasets import open_dataset
    from repsam_ros.evaluation.dataset.depth_statistics import (
        depth_statistics,
        read_statistics,
        write_statistics,
    )
    from repsam_ros.evaluation.dataset.depth_table import markdown
    from repsam_ros.paths import write_text
    from repsam_ros.progress import track

    others = [read_statistics(path) for path in args.against]
    dataset = open_dataset(args.name, args.root, args.split, **args.options)
    write_statistics(
        args.out / "depth.json",
        depth_statistics(track(dataset, len(dataset), "depth")),
        args.title or args.name,
    )
    table = markdown([read_statistics(args.out / "depth.json"), *others])
    write_text(args.out / "depth.md", table)
    print(table)
    print(f"written: {args.out / 'depth.json'}, {args.out / 'depth.md'}")
    return 0
