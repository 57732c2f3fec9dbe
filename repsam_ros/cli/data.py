"""``repsam data``: looks into data sets; each action lies in a file of its own."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

SUMMARY = "check data sets on disk, measure their depth and how fast they load"
_ACTIONS = {
    "check": "count the frames of each split, verify a sample and draw a contact sheet",
    "depth": "measure how depth fails on glass, edges and planes, beside other data sets",
    "loader": "measure frames per second of the training loader",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, purpose in _ACTIONS.items():
        action = actions.add_parser(name, help=purpose, description=purpose, allow_abbrev=False)
        _load(name).add_arguments(action)


def run(args: argparse.Namespace) -> int:
    code: int = _load(args.action).run(args)
    return code


def _load(action: str) -> Any:
    return importlib.import_module(f"repsam_ros.cli._data_{action}")
