"""``repsam compare``: a paired test of two evaluations of the same frames."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._options import add_set_argument, given_values

SUMMARY = "test whether one evaluation is better than another on the same frames"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", type=Path, metavar="A", help="folder that repsam eval wrote")
    parser.add_argument("b", type=Path, metavar="B", help="another; differences are B - A")
    parser.add_argument("--out", type=Path, metavar="DIR", help="for compare.json and compare.md")
    parser.add_argument(
        "--margin",
        type=float,
        metavar="POINTS",
        help="runs this close count as equally good, default 0.5",
    )
    add_set_argument(parser, "bootstrap.samples=20000")


def run(args: argparse.Namespace) -> int:
    from repsam_ros.config import apply_overrides, build_config
    from repsam_ros.evaluation.comparison import (
        ComparisonConfig,
        compare_runs,
        comparison_text,
        write_comparison,
    )

    content = apply_overrides(given_values(args, ("a", "b", "margin")), args.overrides)
    comparison = compare_runs(build_config(ComparisonConfig, content, "repsam compare"))
    print(comparison_text(comparison))
    if args.out is not None:
        write_comparison(comparison, args.out)
        print(f"\nwritten: {args.out / 'compare.json'}, {args.out / 'compare.md'}")
    return 0
