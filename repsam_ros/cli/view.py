"""``repsam view``: masks, clouds and grasps of the running nodes, in a web browser."""

from __future__ import annotations

import argparse

SUMMARY = "show the running nodes' masks, clouds and grasps in a web browser"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--namespace", default="repsam", help="of the nodes, default %(default)s")
    parser.add_argument("--port", type=int, default=8080, help="default %(default)s")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to serve at, default %(default)s; 0.0.0.0 lets every machine of the"
        " network look, without a password",
    )


def run(args: argparse.Namespace) -> int:
    from repsam_ros.browser_view import BrowserView
    from repsam_ros.ros.live_view import view_nodes
    from repsam_ros.ros.processes import stop_event

    stop = stop_event()
    view = BrowserView(args.host, args.port)
    try:
        print(f"http://{args.host}:{view.port}", flush=True)
        view_nodes(args.namespace, view, stop)
    finally:
        view.close()
    return 0
