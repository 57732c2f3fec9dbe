"""Runs the nodes without ``ros2 launch``: the same executables, parameters and names."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from repsam_ros.camera_topics import camera_topics
from repsam_ros.config import read_yaml
from repsam_ros.errors import ConfigError
from repsam_ros.paths import share_dir
from repsam_ros.ros.processes import ProcessError, ProcessGroup, node_command
from repsam_ros.ros.session import Session

NODES = ("perception", "grasp_planner")
_WATCH_S = 0.2


@dataclass(frozen=True)
class RunSettings:
    """Which nodes run, and how.

    Attributes:
        nodes: Of :data:`NODES`.
        params_file: Parameters of all of them; None = each one's file in ``config/``.
        namespace: Of the nodes.
        camera: Namespace of the camera's topics.
        camera_type: How they are called: a name in ``config/cameras/``, or a YAML file.
        parameters: On top of the file, by node and name; values as YAML.
        log_level: As ``--log-level`` of ROS, empty = its default.
    """

    nodes: tuple[str, ...] = NODES
    params_file: Path | None = None
    namespace: str = "repsam"
    camera: str = "camera"
    camera_type: str = "realsense"
    parameters: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    log_level: str = ""

    def __post_init__(self) -> None:
        for name in (*self.nodes, *self.parameters):
            if name not in NODES:
                raise ConfigError(f"unknown node {name!r}; there are: {', '.join(NODES)}")
        if self.params_file is not None:
            read_yaml(self.params_file)  # ROS would name neither the file nor the line

    def full_name(self, node: str) -> str:
        """Name of a node in the graph."""
        space = self.namespace.strip("/")
        return f"/{space}/{node}" if space else f"/{node}"

    def command(self, node: str) -> list[str]:
        """The command that runs a node."""
        topics, is_perception = camera_topics(self.camera_type), node == "perception"
        parameters = topics.parameters(self.camera) if is_perception else {}
        return node_command(
            f"{node}_node",
            namespace=self.namespace,
            params_file=self.params_file or share_dir() / "config" / f"{node}.yaml",
            parameters=parameters | dict(self.parameters.get(node, {})),
            remappings=topics.remappings(self.camera) if is_perception else {},
            log_level=self.log_level,
        )


def run_nodes(
    settings: RunSettings, stop: threading.Event, on_line: Callable[[str], None] = print
) -> None:
    """Starts, configures and activates the nodes, and stays until ``stop`` is set.

    Raises:
        ProcessError: A node ended by itself, or refused a transition; the others are ended too.
    """
    with ProcessGroup(on_line=lambda _, line: on_line(line)) as processes:
        for node in settings.nodes:
            processes.start(node, settings.command(node))

        def check() -> None:
            if stop.is_set():
                raise _StoppedError
            for child in processes.children:
                if child.exit_code is not None:
                    code, words = child.exit_code, child.last_words()
                    raise ProcessError(f"{child.label} ended with exit code {code}: {words}")

        try:
            with Session("repsam_run", check) as session:
                for node in settings.nodes:
                    session.bring_up(settings.full_name(node))
                    on_line(f"{settings.full_name(node)} is active")
                while not stop.wait(_WATCH_S):
                    session.check()
        except _StoppedError:
            pass


class _StoppedError(Exception):
    """Ends a wait."""
