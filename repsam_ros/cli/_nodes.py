"""Entry points of the nodes' executables.

Their imports take a second, or many on a busy machine. An interrupt meanwhile would end the process
with a trace, or get lost where Python ignores errors.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn


def perception_node(argv: Sequence[str] | None = None) -> NoReturn:
    """Runs the perception node; for the exit code see :func:`repsam_ros.ros.running.run_node`."""
    _end_at_once_when_told()
    from repsam_ros.ros.perception_node import PerceptionNode
    from repsam_ros.ros.running import run_node

    run_node(PerceptionNode, argv)


def grasp_planner_node(argv: Sequence[str] | None = None) -> NoReturn:
    """Runs the grasp planner node; for the exit code see :func:`perception_node`."""
    _end_at_once_when_told()
    from repsam_ros.ros.grasp_planner_node import GraspPlannerNode
    from repsam_ros.ros.running import run_node

    run_node(GraspPlannerNode, argv)


NODES: dict[str, Callable[..., NoReturn]] = {
    node.__name__: node for node in (perception_node, grasp_planner_node)
}


def _end_at_once_when_told() -> None:
    """Until the node takes signals over there is nothing that has to be ended well."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))


if __name__ == "__main__":
    NODES[sys.argv.pop(1)]()
