"""``repsam data check``: what a data set on disk holds, and whether it can be read."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._dataset_options import add_dataset_positions

_DEFAULT_OUT = Path("out") / "check"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_dataset_positions(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"for check.json and contact_sheet.png, default {_DEFAULT_OUT}/NAME",
    )
    parser.add_argument(
        "--samples", type=int, default=12, metavar="N", help="frames to read, default %(default)s"
    )


def run(args: argparse.Namespace) -> int:
    from repsam_ros.errors import ConfigError, DatasetError
    from repsam_ros.evaluation.dataset.check import check_dataset, text_report

    if args.samples < 1:
        raise ConfigError(f"--samples must be at least 1, got {args.samples}")
    out = args.out or _DEFAULT_OUT / args.name
    check = check_dataset(args.name, args.root, args.split, args.samples, out, args.options)
    print(text_report(check))
    written = [out / "check.json", *([out / "contact_sheet.png"] if check.frames else [])]
    print(f"\nwritten: {', '.join(map(str, written))}")
    if problems := check.problems:
        raise DatasetError("; ".join(problems))
    return 0
