"""What both nodes share, in this process: outputs that come and go beneath the diagnostics."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import UInt32

from repsam_ros.ros.managed_node import ManagedNode
from repsam_ros.ros.qos import input_qos, output_qos
from repsam_ros.ros.session import Session, environment_set, private_environment

pytestmark = pytest.mark.ros

ROUNDS = 150


class Comings(ManagedNode):
    """Three inputs that must speak and three outputs."""

    def configure(self) -> None:
        for number in range(3):
            self.add_output(UInt32, f"out_{number}", output_qos(1))

    def subscribe(self) -> None:
        for number in range(3):
            qos = input_qos("reliable", 1)
            self.add_input(f"in_{number}", UInt32, f"in_{number}", qos, lambda msg: None)

    def cleanup(self) -> None:
        self.remove_outputs()


@contextmanager
def comings(**values: Any) -> Iterator[Comings]:
    """A node in this process, on a domain of its own."""
    with environment_set(private_environment()):
        context = Context()
        rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
        given = [rclpy.parameter.Parameter(name, value=value) for name, value in values.items()]
        node = Comings("comings", (), context=context, parameter_overrides=given)
        try:
            yield node
        finally:
            node.destroy_node()
            context.try_shutdown()


def test_a_destroyed_node_leaves_the_graph_though_its_process_lives_on() -> None:
    with comings() as node, Session("looking") as session:
        session.wait_until(lambda: "comings" in session.node.get_node_names(), 60.0, "the node")
        node.destroy_node()
        session.wait_until(
            lambda: "comings" not in session.node.get_node_names(), 60.0, "the node to go"
        )


def test_diagnostics_survive_inputs_and_outputs_that_go() -> None:
    with comings(max_silence_s=0.1) as node:
        over, errors = threading.Event(), []

        def report() -> None:
            while not over.is_set():
                try:
                    node._diagnostics.publish()
                except Exception as error:  # noqa: BLE001 - any would end the executor
                    errors.append(error)

        reporter = threading.Thread(target=report)
        reporter.start()
        for _ in range(ROUNDS):
            node.configure()
            node.activate()
            node._active_since_s -= 1
            node.deactivate()
            node.cleanup()
        over.set()
        reporter.join()
        assert not errors
