"""What both nodes share, in this process: outputs that come and go beneath the diagnostics."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import rclpy
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import UInt32

from repsam_ros.ros.executor_thread import ExecutorThread
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


@pytest.mark.parametrize("kind", [SetParameters, SetParametersAtomically])
def test_a_parameter_of_a_type_that_there_is_not_is_refused_with_the_reason(kind: Any) -> None:
    def asked(value: float, number: int) -> Any:
        item = ParameterValue(type=number, double_value=value)
        return ParameterMessage(name="max_silence_s", value=item)

    with comings() as node, Session("asking") as session:
        executor = ExecutorThread(node)
        together = kind is SetParametersAtomically
        service = f"/comings/set_parameters{'_atomically' if together else ''}"
        parameters = [asked(5.0, ParameterType.PARAMETER_DOUBLE), asked(7.0, 42)]
        answer = session.call(kind, service, kind.Request(parameters=parameters))
        results = [answer.result] if together else answer.results
        assert [item.successful for item in results] == [*([] if together else [True]), False]
        assert results[-1].reason == "max_silence_s: there is no parameter type 42"
        assert node.value("max_silence_s") == (2.0 if together else 5.0)
        answer = session.call(kind, service, kind.Request(parameters=parameters[:1]))
        assert (answer.result if together else answer.results[0]).successful
        assert executor.crash is None
        executor.stop()


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
