"""``repsam card``: writes a model's card from its weights, training log and evaluations."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "write a model card from weights, training log and evaluations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("model", help="name in models/manifest.yaml")
    parser.add_argument(
        "--results",
        type=Path,
        required=True,
        metavar="DIR",
        help="training-N.jsonl and the metrics.json of evaluations, renamed after their frames",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="Markdown file")


def run(args: argparse.Namespace) -> int:
    """Runs the verb; returns the exit code."""
    from repsam_ros.evaluation.model_card import write_model_card
    from repsam_ros.paths import write_text

    text = write_model_card(args.model, args.results)
    write_text(args.out, text)
    print(args.out)
    return 0
