"""``repsam ablate``: the experiment that can falsify rank allocation by CKA."""

from __future__ import annotations

import argparse

from repsam_ros.cli._options import add_experiment_arguments, add_set_argument

SUMMARY = "test whether ranks that follow CKA are better than others, with verdict and intervals"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_experiment_arguments(parser, "smoke, cpu, gpu", "ablation")
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="Dask scheduler that shares the runs, such as tcp://host:8786, or local:2",
    )
    add_set_argument(parser, "real={name: mosd, root: data/mosd}")


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
