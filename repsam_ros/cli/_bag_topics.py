"""Options for bags of other recorders: topics and depth unit."""

from __future__ import annotations

import argparse

_STREAMS = ("color", "depth", "info", "depth_info")


def add_topic_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares ``--color-topic``, ``--depth-topic``, ``--info-topic``, ``--depth-info-topic``."""
    for stream in _STREAMS[:3]:
        parser.add_argument(
            f"--{stream}-topic", metavar="TOPIC", help="where it is not that of `repsam bag make`"
        )
    parser.add_argument(
        "--depth-info-topic",
        metavar="TOPIC",
        help="camera info of depth, where its size or K is not that of color",
    )


def add_depth_scale_argument(parser: argparse.ArgumentParser) -> None:
    """Declares ``--depth-scale-m``."""
    parser.add_argument(
        "--depth-scale-m",
        type=float,
        metavar="M",
        help="length of one depth unit; default 0.001 for 16-bit and 1 for float images",
    )


def given_topics(args: argparse.Namespace) -> dict[str, str]:
    """The topics named on the command line, by stream."""
    named = {stream: getattr(args, f"{stream}_topic") for stream in _STREAMS}
    return {stream: topic for stream, topic in named.items() if topic}
