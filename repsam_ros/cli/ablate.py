"""``repsam ablate``: the experiment that can falsify rank allocation by CKA."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._options import add_set_argument

SUMMARY = "test whether ranks that follow CKA are better than others, with verdict and intervals"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config", metavar="CONFIG", help="smoke, cpu, gpu, or a YAML file like config/ablation/*"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="of the experiment")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1 ...")
    parser.add_argument(
        "--processes", type=int, default=1, metavar="P", help="runs at a time (default 1)"
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="Dask scheduler that shares the runs, such as tcp://host:8786, or local:2",
    )
    add_set_argument(parser, "real={name: mosd, root: data/mosd}")
    parser.epilog = "Killed, it goes on when the same command is started again."


def run(args: argparse.Namespace) -> int:
    from repsam_ros.adaptation.ablation.config import AblationConfig
    from repsam_ros.adaptation.ablation.experiment import ablate
    from repsam_ros.config import load_config, preset_path

    path = preset_path("ablation", "ablation", args.config)
    config = load_config(AblationConfig, path, args.overrides)
    content = ablate(
        config, args.out, device=args.device, processes=args.processes, cluster=args.cluster
    )
    for definition in content["verdict"]["definitions"]:
        print(definition["sentence"])
    print(f"\nwritten: {args.out / 'ablation.json'}, {args.out / 'ablation.md'}")
    return 0
