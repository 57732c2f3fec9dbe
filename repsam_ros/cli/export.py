"""``repsam export``: graphs that run without PyTorch."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._options import add_set_argument, given_values

SUMMARY = "write a model as ONNX graphs or TensorRT engines, after a check of parity"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", metavar="NAME", help="name in models/manifest.yaml, or weights or an adapter"
    )
    parser.add_argument(
        "--backbone", metavar="NAME", help="instead: random weights on this backbone, as vit_b"
    )
    parser.add_argument("--seed", type=int, metavar="S", help="of the random weights")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="for the graphs")
    parser.add_argument(
        "--engine", action="store_true", help="compile the graphs with TensorRT too; needs no GPU"
    )
    parser.add_argument(
        "--targets", metavar="SM86,SM89", help="compute capabilities that engines are for"
    )
    add_set_argument(parser, "precisions=[fp32]")


def run(args: argparse.Namespace) -> int:
    from repsam_ros.config import apply_overrides, build_config
    from repsam_ros.export.export import ExportConfig, export_model

    targets = _targets(args)
    content = given_values(args, ("model", "backbone", "seed"))
    content = apply_overrides(content, args.overrides)
    manifest = export_model(build_config(ExportConfig, content, "repsam export"), args.out)
    for precision, parity in manifest["parity"].items():
        error = max(parity["relative_error"].values())
        print(
            f"{precision}: relative error {error:.2g}, mask IoU {parity['mask_iou']:.5f}, of each "
            f"mask at least {parity['mask_iou_min']:.4f}, over {parity['cases']} cases"
        )
    if targets:
        _print_engines(args.out, targets)
    print(f"\nwritten: {args.out / 'manifest.json'}")
    return 0


def _targets(args: argparse.Namespace) -> list[str]:
    """What engines are for; said to be wrong before the graphs take their minutes."""
    from repsam_ros.errors import ConfigError

    targets = [target.strip() for target in (args.targets or "").split(",") if target.strip()]
    if targets and not args.engine:
        raise ConfigError("--targets is for engines: add --engine")
    if args.engine:
        from repsam_ros.export.engines import check_targets

        check_targets(targets)
    return targets


def _print_engines(out: Path, targets: list[str]) -> None:
    from repsam_ros.export.engines import write_engines

    for entry in write_engines(out, targets):
        memory = entry["activation_bytes"]
        said = "" if memory is None else f", {memory / 1e6:.0f} MB for activations"
        print(
            f"{entry['file']}: compiles with {entry['module']} {entry['version']}, "
            f"{entry['bytes'] / 1e6:.1f} MB{said}"
        )
