"""``repsam bench``: how long a frame takes, backends side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._options import add_set_argument, given_values

SUMMARY = "time the stages of a frame on all backends in one run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", metavar="NAME", help="name in models/manifest.yaml, weights, or exported graphs"
    )
    parser.add_argument(
        "--backends",
        metavar="A,B",
        help="such as torch,torch:compile,openvino:bf16 (default: all that open here)",
    )
    parser.add_argument("--frames", type=int, metavar="N", help="measured frames a backend")
    parser.add_argument(
        "--input", metavar="DIR|simulated", help="folder with rgb/, depth/ and label/"
    )
    parser.add_argument("--size", metavar="WxH", help="of simulated frames (default 640x480)")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda ...")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="for the results")
    add_set_argument(parser, "generator_frames=0")
    parser.epilog = "Times mean something on an idle machine only, ratios on a busy one too."


def run(args: argparse.Namespace) -> int:
    from repsam_ros.config import apply_overrides, build_config, to_plain, write_yaml
    from repsam_ros.evaluation.latency.config import BenchConfig
    from repsam_ros.evaluation.latency.report import make_table, write_report
    from repsam_ros.evaluation.latency.run import run_bench

    content = given_values(args, ("model", "frames", "input", "size", "device"))
    if args.backends:
        content["backends"] = [name.strip() for name in args.backends.split(",")]
    content = apply_overrides(content, args.overrides)
    config = build_config(BenchConfig, content, "repsam bench")
    write_yaml(args.out / "config.yaml", to_plain(config))
    result = run_bench(config, args.out)
    write_report(result, args.out)
    print(make_table(result))
    print(f"written: {args.out / 'bench.json'}, {args.out / 'bench.md'}")
    return 0
