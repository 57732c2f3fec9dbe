"""Options that several verbs have."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_pipeline_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares ``--model``, ``--backend``, ``--device`` and ``--set``."""
    parser.add_argument("--model", metavar="NAME", help="name in models/manifest.yaml, or a path")
    parser.add_argument("--backend", metavar="NAME", help="what runs the model, such as torch")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda ...")
    add_set_argument(parser, "pipeline.max_prompts=20")


def add_experiment_arguments(parser: argparse.ArgumentParser, presets: str, folder: str) -> None:
    """Declares the configuration, ``--out``, ``--device`` and ``--processes`` of an experiment."""
    parser.add_argument(
        "config", metavar="CONFIG", help=f"{presets}, or a YAML file like config/{folder}/*"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="of the experiment")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1 ...")
    parser.add_argument(
        "--processes", type=int, default=1, metavar="P", help="runs at a time (default 1)"
    )
    parser.epilog = "Killed, it goes on when the same command is started again."


def add_camera_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares ``--camera`` and ``--camera-type``, which say how a camera's topics are called."""
    parser.add_argument(
        "--camera",
        default="camera",
        metavar="NAMESPACE",
        help="of the camera's topics, default %(default)s; realsense2_camera 4.55 and later"
        " publishes under camera/camera",
    )
    parser.add_argument(
        "--camera-type",
        default="realsense",
        metavar="NAME",
        help="how its topics are called: a name in config/cameras, or a YAML file; default"
        " %(default)s",
    )


def add_set_argument(parser: argparse.ArgumentParser, example: str) -> None:
    """Declares ``--set``; its values are ``overrides``."""
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"set a configuration key, such as {example}; may be repeated",
    )


def given_values(args: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    """The arguments in ``names`` that were given, as plain configuration values."""
    values = {name: getattr(args, name) for name in names}
    plain = (bool, int, float, str)
    return {
        name: value if isinstance(value, plain) else str(value)
        for name, value in values.items()
        if value is not None
    }
