"""Where a data set lies, and options of its format, such as the camera of graspnet."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_dataset_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares ``--dataset``, ``--root``, ``--split`` and ``--option``."""
    parser.add_argument("--dataset", required=True, metavar="NAME", help="format, such as mosd")
    parser.add_argument("--root", required=True, type=Path, metavar="DIR", help="its folder")
    _add_split(parser)


def add_dataset_positions(parser: argparse.ArgumentParser) -> None:
    """Declares ``NAME``, ``ROOT``, ``--split`` and ``--option``."""
    parser.add_argument("name", metavar="NAME", help="format of the data set, such as mosd")
    parser.add_argument("root", type=Path, metavar="ROOT", help="where it lies")
    _add_split(parser)


def _add_split(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--split", metavar="NAME", help="one of the data set's, default all")
    add_option_argument(parser)


def add_option_argument(parser: argparse.ArgumentParser) -> None:
    """Declares ``--option``; its values are a dict."""
    parser.add_argument(
        "--option",
        dest="options",
        action=_Option,
        default={},
        metavar="KEY=VALUE",
        help="of the data set's format, such as camera=kinect for graspnet; may be repeated",
    )


class _Option(argparse.Action):
    """Collects ``KEY=VALUE`` into a new dict."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        key, equals, value = str(values).partition("=")
        if not (key and equals):
            raise argparse.ArgumentError(self, f"expected KEY=VALUE, got {values!r}")
        setattr(namespace, self.dest, {**getattr(namespace, self.dest), key: value})
