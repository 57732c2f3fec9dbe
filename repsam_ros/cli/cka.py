"""``repsam cka``: how alike an encoder's blocks see two domains, or two networks one domain."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._options import add_set_argument

SUMMARY = "measure which blocks of an encoder a new domain moves (CKA)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="YAML file, see config/cka/")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for the results")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1 ...")
    add_set_argument(parser, "batch_size=8")


def run(args: argparse.Namespace) -> int:
    from repsam_ros.adaptation.cka.comparisons import compare
    from repsam_ros.adaptation.cka.configuration import CkaConfig
    from repsam_ros.adaptation.cka.plot import layer_plot
    from repsam_ros.adaptation.cka.report import text_table, write_cka_report
    from repsam_ros.backends.torch import find_device
    from repsam_ros.config import load_config
    from repsam_ros.images import write_png

    config = load_config(CkaConfig, args.config, args.overrides)
    report = compare(config, find_device(args.device))
    write_cka_report(args.out / "cka.json", report)
    write_png(args.out / "cka.png", layer_plot(report))
    print(text_table(report))
    print(f"\nwritten: {args.out / 'cka.json'}, {args.out / 'cka.png'}")
    return 0
