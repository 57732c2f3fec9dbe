"""How long a session waits for the nodes that it starts."""

from __future__ import annotations

import logging
import sys
import threading

import pytest
import rclpy
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions

from repsam_ros.ros import session as session_module
from repsam_ros.ros.executor_thread import ExecutorThread
from repsam_ros.ros.lifecycle import SafeLifecycleNode
from repsam_ros.ros.processes import ProcessError, ProcessGroup
from repsam_ros.ros.session import Session, environment_set, private_environment

pytestmark = pytest.mark.ros

LEAVES_IN_A_TRANSITION = """
import threading, time, rclpy
from repsam_ros.ros.executor_thread import ExecutorThread
from repsam_ros.ros.lifecycle import SafeLifecycleNode
leave = threading.Event()
class Node(SafeLifecycleNode):
    def configure(self):
        leave.set()
        time.sleep(600)
rclpy.init()
node = Node("short_lived")
executor = ExecutorThread(node)
leave.wait()
executor.stop()
node.destroy_node()
rclpy.shutdown()
"""


class SlowNode(SafeLifecycleNode):
    """Configures itself once it may."""

    def __init__(self, context: Context) -> None:
        super().__init__("slow", context=context)
        self.may_go_on = threading.Event()

    def configure(self) -> None:
        self.may_go_on.wait()


def test_a_transition_may_take_long_and_that_it_does_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session_module, "_REMINDER_S", 0.2)
    caplog.set_level(logging.INFO, "repsam_ros")
    with environment_set(private_environment()):
        context = Context()
        rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
        node = SlowNode(context)
        executor = ExecutorThread(node)

        def go_on_after_two_reminders() -> None:
            if caplog.text.count("waiting for /slow to configure") >= 2:
                node.may_go_on.set()

        with Session("test", go_on_after_two_reminders) as session:
            session.bring_up("/slow")
            assert session.state("/slow") == "active"
        executor.stop()
        node.destroy_node()
        context.try_shutdown()


def test_a_node_that_leaves_in_a_transition_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_module, "_GONE_S", 0.5)
    environment = private_environment()
    with (
        environment_set(environment),
        ProcessGroup(environment) as processes,
        Session("test", processes.check) as session,
    ):
        child = processes.start("node", [sys.executable, "-c", LEAVES_IN_A_TRANSITION])
        with pytest.raises(ProcessError, match="waited for /short_lived to configure, but it has"):
            session.bring_up("/short_lived")
        assert child.wait(60) == 0
