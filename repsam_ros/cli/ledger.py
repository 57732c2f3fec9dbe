"""``repsam ledger``: what a method trains of a network, without any weights."""

from __future__ import annotations

import argparse

from repsam_ros.cli._options import add_set_argument

SUMMARY = "count the parameters of a network and those that a method trains"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="NAME", help="backbone, such as vit_h")
    parser.add_argument("--method", required=True, metavar="NAME", help="such as repsam or lora")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_set_argument(parser, "rank=8")


def run(args: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from repsam_ros.adaptation.ledger import count_parameters, text_table
    from repsam_ros.config import apply_overrides

    ledger = count_parameters(args.model, args.method, apply_overrides({}, args.overrides))
    print(json.dumps(asdict(ledger), indent=1) if args.json else text_table(ledger))
    return 0
