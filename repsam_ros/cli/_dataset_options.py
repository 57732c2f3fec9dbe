"""Options of formats of data sets, such as the camera of graspnet."""

from __future__ import annotations

import argparse


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
