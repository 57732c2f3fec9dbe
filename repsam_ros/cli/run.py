"""``repsam run``: the nodes without ``ros2 launch``."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._options import add_camera_arguments
from repsam_ros.errors import ConfigError

SUMMARY = "run the perception and grasp planner nodes until Ctrl-C, without ros2 launch"
_NODES = ("perception", "grasp_planner")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--params",
        type=Path,
        metavar="FILE",
        help="ROS parameters file; default: those of config/",
    )
    parser.add_argument(
        "--node",
        action="append",
        choices=_NODES,
        dest="nodes",
        help="run only this node; may be repeated; default: both",
    )
    parser.add_argument("--namespace", default="repsam", help="default %(default)s")
    add_camera_arguments(parser)
    for name in ("model", "backend", "device"):
        parser.add_argument(f"--{name}", metavar="NAME", help=f"parameter {name} of perception")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="NODE.PARAMETER=VALUE",
        help="set a parameter, such as perception.masks.min_score=0.6; may be repeated",
    )
    parser.add_argument(
        "--log-level", default="", choices=("debug", "info", "warn", "error", "fatal")
    )


def run(args: argparse.Namespace) -> int:
    from repsam_ros.ros.processes import stop_event
    from repsam_ros.ros.supervisor import RunSettings, run_nodes

    settings = RunSettings(
        nodes=tuple(args.nodes or _NODES),
        params_file=args.params,
        namespace=args.namespace,
        camera=args.camera,
        camera_type=args.camera_type,
        parameters=_parameters(args),
        log_level=args.log_level,
    )
    stop = stop_event()
    run_nodes(settings, stop, lambda line: print(line, flush=True))
    return 0


def _parameters(args: argparse.Namespace) -> dict[str, dict[str, str]]:
    by_node: dict[str, dict[str, str]] = {}
    for name in ("model", "backend", "device"):
        if getattr(args, name) is not None:
            by_node.setdefault("perception", {})[name] = getattr(args, name)
    for override in args.overrides:
        key, separator, value = override.partition("=")
        node, dot, name = key.partition(".")
        if not (separator and dot and name):
            raise ConfigError(f"--set {override}: expected NODE.PARAMETER=VALUE")
        by_node.setdefault(node, {})[name] = value
    return by_node
