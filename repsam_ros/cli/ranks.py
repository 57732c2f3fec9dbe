"""``repsam ranks``: ranks of adapters under a budget."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._options import add_set_argument

SUMMARY = "give each block of an encoder an adapter rank, under a budget in parameters"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="such as config/ranks/*.yaml")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="for the results")
    add_set_argument(parser, "ranks.policy=early")


def run(args: argparse.Namespace) -> int:
    from repsam_ros import __version__
    from repsam_ros.adaptation.rank_plan import RanksConfig, draw_allocation, plan_ranks, text_table
    from repsam_ros.config import load_config, to_plain
    from repsam_ros.images import write_png
    from repsam_ros.network.ranks import save_allocation

    config = load_config(RanksConfig, args.config, args.overrides)
    allocation = plan_ranks(config)
    save_allocation(
        args.out / "ranks.json", allocation, config=to_plain(config), version=__version__
    )
    write_png(args.out / "ranks.png", draw_allocation(allocation))
    print(text_table(allocation))
    print(f"\nwritten: {args.out / 'ranks.json'}, {args.out / 'ranks.png'}")
    return 0
