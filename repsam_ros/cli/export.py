"""``repsam export``: graphs that run without PyTorch."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._options import add_set_argument, given_values

SUMMARY = "write a model as ONNX graphs that run without PyTorch, after a check of parity"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", metavar="NAME", help="name in models/manifest.yaml, or weights or an adapter"
    )
    parser.add_argument(
        "--backbone", metavar="NAME", help="instead: random weights on this backbone, as vit_b"
    )
    parser.add_argument("--seed", type=int, metavar="S", help="of the random weights")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="for the graphs")
    add_set_argument(parser, "precisions=[fp32]")


def run(args: argparse.Namespace) -> int:
    from repsam_ros.config import apply_overrides, build_config
    from repsam_ros.export.export import ExportConfig, export_model

    content = given_values(args, ("model", "backbone", "seed"))
    content = apply_overrides(content, args.overrides)
    manifest = export_model(build_config(ExportConfig, content, "repsam export"), args.out)
    for precision, parity in manifest["parity"].items():
        error = max(parity["relative_error"].values())
        print(
            f"{precision}: relative error {error:.2g}, mask IoU at least "
            f"{parity['mask_iou_min']:.4f} over {parity['cases']} cases"
        )
    print(f"\nwritten: {args.out / 'manifest.json'}")
    return 0
