"""Options that name the topics of bags from other recorders."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from repsam_ros.bags import BagTopics

_STREAMS = ("color", "depth", "info")


def add_topic_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares ``--color-topic``, ``--depth-topic``, ``--info-topic`` and ``--depth-scale-m``."""
    for stream in _STREAMS:
        parser.add_argument(
            f"--{stream}-topic", metavar="TOPIC", help="where it is not that of `repsam bag make`"
        )
    parser.add_argument(
        "--depth-scale-m",
        type=float,
        metavar="M",
        help="length of one depth unit; default 0.001 for 16-bit and 1 for float images",
    )


def topics_from(args: argparse.Namespace) -> BagTopics:
    """The topics named on the command line; the others as the project's bags have them."""
    from repsam_ros.bags import BagTopics

    named = {stream: getattr(args, f"{stream}_topic") for stream in _STREAMS}
    return BagTopics(**{stream: topic for stream, topic in named.items() if topic})
