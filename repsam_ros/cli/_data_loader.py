"""``repsam data loader``: how fast a data set turns into training batches."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._dataset_options import add_dataset_positions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_dataset_positions(parser)
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="default %(default)s")
    parser.add_argument("--batch", type=int, default=16, metavar="B", help="default %(default)s")
    parser.add_argument(
        "--batches",
        type=int,
        default=8,
        metavar="K",
        help="at least, in each run, default %(default)s",
    )
    parser.add_argument("--runs", type=int, default=5, metavar="R", help="default %(default)s")
    parser.add_argument(
        "--backbone", default="vit_tiny", metavar="NAME", help="whose canvas, default %(default)s"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out") / "loader",
        metavar="DIR",
        help="for loader.json, default %(default)s",
    )


def run(args: argparse.Namespace) -> int:
    import json

    from repsam_ros.adaptation.augmentation import AugmentationSettings
    from repsam_ros.adaptation.batches import LoaderSettings
    from repsam_ros.adaptation.loader_speed import loader_speed
    from repsam_ros.adaptation.pictures import SamplePictures
    from repsam_ros.errors import ConfigError
    from repsam_ros.network.backbones import backbone_spec
    from repsam_ros.paths import write_text

    if min(args.runs, args.batches) < 1:
        raise ConfigError("--runs and --batches must be at least 1")
    settings = LoaderSettings(batch_size=args.batch, workers=args.workers)
    canvas_px = backbone_spec(args.backbone).canvas_px
    options = tuple(args.options.items())
    maker = SamplePictures(
        args.name, args.root, args.split, canvas_px, 0, AugmentationSettings(), options
    )
    result = {
        "dataset": args.name,
        "root": str(args.root),
        "split": args.split,
        "canvas_px": canvas_px,
        **loader_speed(maker, settings, args.runs, args.batches),
    }
    write_text(args.out / "loader.json", json.dumps(result, indent=2) + "\n")
    speed = result["frames_per_second"]
    print(
        f"{speed['best']:.1f} frames/s best, {speed['median']:.1f} median of {args.runs} runs, "
        f"{args.workers} workers, batches of {args.batch}"
    )
    print(f"\nwritten: {args.out / 'loader.json'}")
    return 0
