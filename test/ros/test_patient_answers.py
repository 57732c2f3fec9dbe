"""An answer whose client is not in sight yet is sent again, on real services."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import Trigger

from repsam_ros.ros.executor_thread import ExecutorThread
from repsam_ros.ros.patient_answers import PatientAnswers
from repsam_ros.ros.session import Session

pytestmark = pytest.mark.ros

# What rclpy 7.1 says; the second test fails when another version says something else.
LOST = "failed to send response (timeout): client will not receive response"
# The answers' reader asks for more than the service offers, so DDS never connects the two.
INCOMPATIBLE = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture(autouse=True)
def usual_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        yield


@contextmanager
def serving(context: Context, prepare: Callable[[Any], None], patience_s: float) -> Iterator[None]:
    """A service ``/ask`` whose answers are patient."""

    def answer(request: Any, response: Any) -> Any:
        response.success = True
        return response

    node = Node("server", context=context)
    prepare(node.create_service(Trigger, "/ask", answer))
    PatientAnswers(node, patience_s)
    executor = ExecutorThread(node)
    try:
        yield
    finally:
        executor.stop()
        node.destroy_node()


def blind_at_first(times: int) -> Callable[[Any], None]:
    """The middleware does not find the client so many times; then it is the real one."""

    def prepare(service: Any) -> None:
        send, left = service.send_response, [None] * times

        def send_response(response: Any, header: Any) -> None:
            if left:
                left.pop()
                warnings.warn(LOST, RuntimeWarning, stacklevel=1)
            else:
                send(response, header)

        service.send_response = send_response

    return prepare


def test_an_answer_arrives_once_the_client_is_found(capfd: pytest.CaptureFixture[str]) -> None:
    with Session("asking") as session, serving(session.node.context, blind_at_first(3), 60.0):
        for _ in range(2):  # the second one finds it at once
            assert session.call(Trigger, "/ask", Trigger.Request()).success
    assert LOST not in capfd.readouterr().err


def test_an_answer_that_no_client_can_get_is_given_up_with_a_warning(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with Session("asking") as session, serving(session.node.context, lambda _: None, 1.0):
        client = session.node.create_client(Trigger, "/ask", qos_profile=INCOMPATIBLE)
        session.wait_until(lambda: session.node.count_clients("/ask") == 1, 60.0, "its client")
        printed, asked = "", []

        def is_given_up() -> bool:
            nonlocal printed
            if not asked or time.monotonic() - asked[-1] > 5.0:
                asked.append(time.monotonic())
                client.call_async(Trigger.Request())
            printed += capfd.readouterr().err
            return "an answer of /ask was given up" in printed

        session.wait_until(is_given_up, 60.0, "the warning")
        session.node.destroy_client(client)
        # The others are served as ever.
        assert session.call(Trigger, "/ask", Trigger.Request()).success
    assert LOST not in printed
