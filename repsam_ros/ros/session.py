"""This process's own place in a ROS graph, from which it starts and watches nodes."""

from __future__ import annotations

import logging
import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.context import Context
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from repsam_ros.ros.diagnostics import values_of
from repsam_ros.ros.executor_thread import ExecutorThread
from repsam_ros.ros.processes import ProcessError, wait_until
from repsam_ros.ros.shared_memory import enlarge_shared_memory

_logger = logging.getLogger(__name__)

# Importing a deep-learning library on a busy machine takes a while.
_READY_TIMEOUT_S = 180.0
_REMINDER_S = 60.0
_GONE_S = 60.0  # a busy machine may lose sight of a node for a while
_POLL_S = 0.05
_REASON_TIMEOUT_S = 5.0
_DOMAINS = range(20, 100)  # above everyday ones, below the ephemeral ports


def private_environment() -> dict[str, str]:
    """Variables for a domain of this machine that no one else seems to use."""
    domains = list(_DOMAINS)
    random.SystemRandom().shuffle(domains)
    for domain_id in domains:
        if _is_free(domain_id):
            # Humble knows the first of these names only, later ones warn when they see it.
            is_humble = os.environ.get("ROS_DISTRO") == "humble"
            range_ = "ROS_LOCALHOST_ONLY" if is_humble else "ROS_AUTOMATIC_DISCOVERY_RANGE"
            return {"ROS_DOMAIN_ID": str(domain_id), range_: "1" if is_humble else "LOCALHOST"}
    raise ProcessError("every DDS domain of this machine is in use")


@contextmanager
def environment_set(variables: dict[str, str]) -> Iterator[None]:
    """Sets environment variables for a while: the middleware reads the discovery range there."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Session:
    """A node that spins in a thread; use as a context manager.

    Args:
        check: Called while it waits; raises when waiting became pointless.
    """

    def __init__(self, name: str, check: Callable[[], None] = lambda: None) -> None:
        self._check = check
        enlarge_shared_memory()
        self._context = Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = Node(f"{name}_{os.getpid()}", context=self._context)
        self._diagnostics: dict[str, dict[str, str]] = {}
        self._watched: set[str] = set()
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._executor = ExecutorThread(self.node)

    def check(self) -> None:
        """Raises what went wrong in the session's thread or in what it watches."""
        if self._executor.crash is not None:
            raise self._executor.crash
        self._check()

    def wait_until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """See :func:`repsam_ros.ros.processes.wait_until`."""
        wait_until(condition, timeout_s, what, self.check)

    def bring_up(self, *nodes: str) -> None:
        """Configures and activates lifecycle nodes, by full name."""
        for name in nodes:
            self._watched.add(name)
            self.transition(name, Transition.TRANSITION_CONFIGURE, "configure")
        for name in nodes:
            self.transition(name, Transition.TRANSITION_ACTIVATE, "activate")

    def transition(self, node: str, number: int, name: str) -> None:
        """Runs a lifecycle transition, however long it takes: a first start may build engines.

        Raises:
            ProcessError: The node is not there, refuses, or goes away.
        """
        request = ChangeState.Request(transition=Transition(id=number))
        with self._client(ChangeState, f"{node}/change_state") as client:
            future = client.call_async(request)
            self._await_transition(client, future, f"{node} to {name}")
        if not future.result().success:
            raise ProcessError(f"{node}: {self._transition_error(node, name)}")

    def _await_transition(self, client: Any, future: Any, what: str) -> None:
        start_s = seen_s = reminded_s = time.monotonic()
        while not future.done():
            self.check()
            now_s = time.monotonic()
            if client.service_is_ready():
                seen_s = now_s
            elif now_s - seen_s > _GONE_S:
                raise ProcessError(f"waited for {what}, but it has gone")
            if now_s - reminded_s > _REMINDER_S:
                reminded_s = now_s
                _logger.info("waiting for %s, for %.0f s so far", what, now_s - start_s)
            time.sleep(_POLL_S)

    def _transition_error(self, node: str, name: str) -> str:
        """Why a transition failed, which the node's next diagnostics tell."""
        end_s = time.monotonic() + _REASON_TIMEOUT_S
        while time.monotonic() < end_s:
            reason = self.diagnostics(node).get("last_error", "")
            if reason.startswith(f"{name}: "):
                return reason.replace(": ", " failed: ", 1)
            time.sleep(0.1)
        return f"{name} failed, its log says why"

    def state(self, node: str) -> str:
        """Label of a lifecycle node's state."""
        answer = self.call(GetState, f"{node}/get_state", GetState.Request())
        return str(answer.current_state.label)

    def call(self, service_type: type, service: str, request: Any) -> Any:
        """Calls a service and waits for its answer."""
        with self._client(service_type, service) as client:
            future = client.call_async(request)
            self.wait_until(future.done, _READY_TIMEOUT_S, f"an answer of {service}")
            return future.result()

    @contextmanager
    def _client(self, service_type: type, service: str) -> Iterator[Any]:
        """A client of a service that is there."""
        client = self.node.create_client(service_type, service)
        try:
            self.wait_until(client.service_is_ready, _READY_TIMEOUT_S, f"the service {service}")
            yield client
        finally:
            self.node.destroy_client(client)

    def diagnostics(self, node: str) -> dict[str, str]:
        """What the node last reported; empty while it has not."""
        return dict(self._diagnostics.get(node, {}))

    def close(self) -> None:
        """Leaves the graph."""
        self._executor.stop()
        self.node.destroy_node()
        self._context.try_shutdown()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            node = f"/{status.name.partition(':')[0]}"
            values = values_of(msg, node)
            if values is not None:
                self._diagnostics[node] = values


def _is_free(domain_id: int) -> bool:
    """Whether the ports of the first participants of a domain are free (RTPS 9.6.1)."""
    for participant in range(3):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", 7400 + 250 * domain_id + 10 + 2 * participant))
            except OSError:
                return False
    return True
