"""How a node's process ends."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from repsam_ros.ros.processes import ChildProcess, ProcessGroup, node_command, wait_until
from repsam_ros.ros.session import Session, environment_set, private_environment

pytestmark = pytest.mark.ros

PATIENCE_S = 240.0

SHUT_DOWN_FROM_OUTSIDE = """
import sys, threading, rclpy
from repsam_ros.cli._nodes import grasp_planner_node as main
threading.Timer(4.0, rclpy.shutdown).start()
sys.exit(main())
"""
FAILING_NODE = """
import sys
from repsam_ros.ros.managed_node import ManagedNode
from repsam_ros.ros.running import run_node

class Failing(ManagedNode):
    def __init__(self):
        super().__init__("failing", ())
    def subscribe(self):
        self.submit(1)
    def process(self, job):
        return job / 0

sys.exit(run_node(Failing))
"""
FAILING_CALLBACK = """
import sys
from repsam_ros.ros.managed_node import ManagedNode
from repsam_ros.ros.running import run_node

class Failing(ManagedNode):
    def __init__(self):
        super().__init__("failing", ())
        self.create_timer(0.1, lambda: [][1])

sys.exit(run_node(Failing))
"""
SLOW_TO_CONFIGURE = """
import sys, rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from repsam_ros.ros.managed_node import ManagedNode
from repsam_ros.ros.running import run_node

class Slow(ManagedNode):
    def __init__(self):
        super().__init__("slow", ())
    def configure(self):
        context = Context()
        rclpy.init(context=context)
        elsewhere = SingleThreadedExecutor(context=context)
        print("configuring")
        while True:  # like a model that loads for long: now in a library, now in Python
            elsewhere.spin_once(0.01)

sys.exit(run_node(Slow))
"""
INTERRUPTED_IMPORTS = """
import os, signal, sys
from repsam_ros.cli._nodes import NODES

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "rclpy":
            print("importing", flush=True)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.exit(NODES[sys.argv.pop(1)]())
"""
SLOW_LIBRARY = """
import atexit, time
from repsam_ros.ros.managed_node import ManagedNode
from repsam_ros.ros.running import run_node

class Quick(ManagedNode):
    def __init__(self):
        super().__init__("quick", ())
        atexit.register(time.sleep, 3600)
    def subscribe(self):
        print("active", end="")

run_node(Quick)
"""
SLOW_FRAME = """
import sys, time
from repsam_ros.ros.managed_node import ManagedNode
from repsam_ros.ros.running import run_node

class Slow(ManagedNode):
    def __init__(self):
        super().__init__("slow", ())
    def subscribe(self):
        self.submit(1)
    def process(self, job):
        print("working")
        time.sleep(3600)

sys.exit(run_node(Slow))
"""
FAILING_END = """
import sys
from repsam_ros.ros.managed_node import ManagedNode
from repsam_ros.ros.running import run_node

class Failing(ManagedNode):
    def __init__(self):
        super().__init__("failing", ())
    def subscribe(self):
        print("active")
    def cleanup(self):
        {}["missing"]

sys.exit(run_node(Failing))
"""


def start(group: ProcessGroup, code: str, *parameters: str) -> ChildProcess:
    arguments = ["--ros-args", *(part for item in parameters for part in ("-p", item))]
    return group.start("node", [sys.executable, "-c", code, *arguments])


def test_shutdown_from_outside_is_a_clean_end() -> None:
    with ProcessGroup(private_environment()) as group:
        child = start(group, SHUT_DOWN_FROM_OUTSIDE)
        assert child.wait(PATIENCE_S) == 0, child.last_words()
        assert not any("Traceback" in line for line in child.lines)


def test_unexpected_error_in_a_frame_ends_the_process_loudly() -> None:
    with ProcessGroup(private_environment()) as group:
        child = start(group, FAILING_NODE, "autostart:=true")
        assert child.wait(PATIENCE_S) == 1
        wait_until(lambda: any("ZeroDivisionError" in line for line in child.lines), 5.0, "trace")


def test_unexpected_error_in_a_callback_ends_the_process_loudly() -> None:
    with ProcessGroup(private_environment()) as group:
        child = start(group, FAILING_CALLBACK)
        assert child.wait(PATIENCE_S) == 1
        wait_until(lambda: any("IndexError" in line for line in child.lines), 5.0, "trace")


def test_an_interrupt_in_the_middle_of_configure_ends_it_cleanly() -> None:
    environment = private_environment()
    with (
        environment_set(environment),
        ProcessGroup(environment) as group,
        Session("test") as session,
    ):
        child = start(group, SLOW_TO_CONFIGURE)
        client = session.node.create_client(ChangeState, "/slow/change_state")
        session.wait_until(client.service_is_ready, PATIENCE_S, "the service")
        configure = Transition(id=Transition.TRANSITION_CONFIGURE)
        client.call_async(ChangeState.Request(transition=configure))
        session.wait_until(lambda: "configuring" in child.lines, PATIENCE_S, "the transition")
        child.send(signal.SIGINT)
        assert child.wait(PATIENCE_S) == 0, child.last_words()


@pytest.mark.parametrize(
    ("node", "said"), [(SLOW_TO_CONFIGURE, "configuring"), (SLOW_FRAME, "working")]
)
def test_an_interrupt_waits_neither_for_an_autostart_nor_for_a_frame(node: str, said: str) -> None:
    with ProcessGroup(private_environment()) as group:
        child = start(group, node, "autostart:=true")
        wait_until(lambda: said in child.lines, PATIENCE_S, said)
        child.send(signal.SIGINT)
        assert child.wait(PATIENCE_S) == 0, child.last_words()


@pytest.mark.parametrize("node", ["perception_node", "grasp_planner_node"])
def test_an_interrupt_in_the_middle_of_the_imports_ends_it_cleanly(node: str) -> None:
    with ProcessGroup(private_environment()) as group:
        child = group.start("node", [sys.executable, "-c", INTERRUPTED_IMPORTS, node])
        assert child.wait(PATIENCE_S) == 0, child.last_words()
        assert child.last_words() == "importing"


def test_a_library_that_is_slow_to_end_does_not_hold_up_the_process() -> None:
    with ProcessGroup({**private_environment(), "PYTHONUNBUFFERED": ""}) as group:
        child = start(group, SLOW_LIBRARY, "autostart:=true")
        wait_until(
            lambda: any("activate: done" in line for line in child.lines), PATIENCE_S, "the node"
        )
        child.send(signal.SIGINT)
        assert child.wait(PATIENCE_S) == 0, child.last_words()
        assert child.last_words().endswith("active"), "what was printed before is not lost"


def test_unexpected_error_at_the_end_is_told() -> None:
    with ProcessGroup(private_environment()) as group:
        child = start(group, FAILING_END, "autostart:=true")
        wait_until(lambda: "active" in child.lines, PATIENCE_S, "the node")
        child.send(signal.SIGINT)
        assert child.wait(PATIENCE_S) == 1
        wait_until(lambda: any("KeyError" in line for line in child.lines), 5.0, "trace")


def test_security_without_its_files_or_libraries_is_refused_in_one_line(tmp_path: Path) -> None:
    security = {
        "ROS_SECURITY_ENABLE": "true",
        "ROS_SECURITY_STRATEGY": "Enforce",
        "ROS_SECURITY_KEYSTORE": str(tmp_path),
    }
    command = node_command("grasp_planner_node")
    with ProcessGroup({**private_environment(), **security}) as processes:
        child = processes.start("node", command)
        assert child.wait(PATIENCE_S) == 2, child.last_words()
        assert any(
            line.startswith("error: ") and "security" in line.lower() for line in child.lines
        ), child.last_words()


def test_threads_of_the_network_sleep_while_they_wait() -> None:
    pytest.importorskip("torch")
    with ProcessGroup({**private_environment(), "OMP_DISPLAY_ENV": "true"}) as processes:
        parameters = {"autostart": "true", "backend": "torch"}
        command = node_command("perception_node", parameters=parameters)
        child = processes.start("node", command)
        # The OpenMP library says so when it is loaded.
        wait_until(
            lambda: any("OMP_WAIT_POLICY" in line for line in child.lines), PATIENCE_S, "OpenMP"
        )
        (line,) = [line for line in child.lines if "OMP_WAIT_POLICY" in line]
        assert "PASSIVE" in line
