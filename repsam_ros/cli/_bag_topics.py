"""Options that say what a bag's topics are called, and its unit of depth."""

from __future__ import annotations

import argparse

from repsam_ros.cli._options import add_camera_arguments

_STREAMS = ("color", "depth", "info", "depth_info")


def add_topic_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the camera, and ``--color-topic`` and so on for what it calls otherwise."""
    add_camera_arguments(parser)
    for stream in _STREAMS[:3]:
        parser.add_argument(
            f"--{stream}-topic", metavar="TOPIC", help="where it is not that of the camera"
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
    """The topics of the camera, but for those named one by one, by stream.

    Raises:
        ConfigError: There is no such kind of camera.
    """
    from repsam_ros.camera_topics import camera_topics

    named = {stream: getattr(args, f"{stream}_topic") for stream in _STREAMS}
    topics = camera_topics(args.camera_type).by_stream(args.camera)
    return topics | {stream: topic for stream, topic in named.items() if topic}
