"""``repsam benchmark``: models on data sets, with prompts of their own and from the truth."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._options import add_set_argument

SUMMARY = "table of data sets, methods and kinds of prompts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--roots",
        required=True,
        type=Path,
        metavar="FILE",
        help="YAML: folder of each data set by name; see config/benchmark/roots.yaml",
    )
    parser.add_argument(
        "--methods",
        required=True,
        metavar="A,B",
        help="names in models/manifest.yaml, or paths of weights; MODEL:rgb or MODEL:depth sees "
        "nothing else",
    )
    parser.add_argument(
        "--full", metavar="NAME", help="the method that the others' scores are given as shares of"
    )
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="DIR",
        help="for the results; what was measured there before is kept",
    )
    parser.add_argument(
        "--frames", type=int, metavar="N", help="of each data set, evenly spread; default all"
    )
    add_set_argument(parser, "run.device=cuda")


def run(args: argparse.Namespace) -> int:
    from repsam_ros.config import apply_overrides, build_config
    from repsam_ros.errors import DatasetError
    from repsam_ros.evaluation.benchmark.config import BenchmarkConfig, read_roots
    from repsam_ros.evaluation.benchmark.run import run_benchmark

    content = {
        "roots": read_roots(args.roots),
        "methods": [name for name in args.methods.split(",") if name],
        "frames": args.frames,
        "full": args.full,
    }
    content = apply_overrides(content, args.overrides)
    cells = run_benchmark(build_config(BenchmarkConfig, content, "repsam benchmark"), args.out)
    page = args.out / "benchmark.md"
    print(page.read_text(encoding="utf-8"))
    print(f"written: {page}, {args.out / 'benchmark.json'}")
    failed = {cell.dataset: cell.reason for cell in cells if cell.state == "failed"}
    if failed:
        raise DatasetError("; ".join(f"{name}: {reason}" for name, reason in failed.items()))
    return 0
