"""The nodes as people handle them on a robot: with ``ros2``, where it is installed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ros2cli", reason="needs the command ros2, which ROS brings")

pytestmark = pytest.mark.ros

LAUNCH = Path(__file__).parents[2] / "launch"
# A daemon may be of another domain, or not have heard of the node yet; and it would stay behind.
DIRECT = ("--no-daemon", "--spin-time", "5")
RUN = "import sys; from ros2cli.cli import main; sys.exit(main())"
COMMAND = [sys.executable, "-W", "ignore", "-c", RUN]


def ros2(*arguments: str, timeout_s: float = 120.0) -> str:
    """What ``ros2 ...`` prints; fails the test with it when the command fails."""
    result = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=timeout_s
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def has(command: str) -> bool:
    """Whether this ``ros2`` has a command."""
    return re.search(rf"^  {command} ", ros2("--help"), re.MULTILINE) is not None


def need(command: str) -> None:
    if not has(command):
        pytest.skip(f"this ros2 has no command {command}")


def test_lifecycle_goes_back_and_forth(perception: Any) -> None:
    need("lifecycle")
    assert ros2("lifecycle", "get", *DIRECT, perception.node_name).startswith("active ")
    set_it = ("lifecycle", "set", *DIRECT, perception.node_name)
    assert "Transitioning successful" in ros2(*set_it, "deactivate")
    assert perception.session.state(perception.node_name) == "inactive"
    assert "Transitioning successful" in ros2(*set_it, "activate")
    perception.await_connection()
    perception.await_labels(perception.publish_frame())


def test_parameters_are_listed_described_set_and_refused(perception: Any) -> None:
    need("param")
    assert "masks.min_score" in ros2("param", "list", *DIRECT, perception.node_name)
    described = ros2("param", "describe", *DIRECT, perception.node_name, "masks.min_score")
    assert "Max value: 1.0" in described and "next frame" in described
    set_it = ("param", "set", *DIRECT, perception.node_name, "max_silence_s")
    assert "successful" in ros2(*set_it, "3.5")
    assert "3.5" in ros2("param", "get", *DIRECT, perception.node_name, "max_silence_s")
    refused = subprocess.run([*COMMAND, *set_it, "-1.0"], capture_output=True, text=True)
    assert "max_silence_s" in refused.stdout + refused.stderr
    assert "3.5" in ros2("param", "get", *DIRECT, perception.node_name, "max_silence_s")
    ros2(*set_it, "2.0")


def test_topics_are_there_and_diagnostics_come_once_a_second(perception: Any) -> None:
    need("topic")
    listed = ros2("topic", "list", *DIRECT, "-t")
    assert "/perception/labels [sensor_msgs/msg/Image]" in listed
    command = [*COMMAND, "topic", "hz", "/diagnostics", "--window", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as hz:
        try:
            assert hz.stdout is not None
            rates = (re.search(r"average rate: ([0-9.]+)", line) for line in hz.stdout)
            rate_hz = next(float(found[1]) for found in rates if found)
        finally:
            hz.send_signal(signal.SIGINT)
    assert rate_hz > 0


@pytest.mark.parametrize("name", ["perception", "grasping", "replay"])
def test_launch_files_show_their_arguments(name: str) -> None:
    need("launch")
    pytest.importorskip("launch_ros", reason="needs launch_ros, which ROS brings")
    shown = ros2("launch", str(LAUNCH / f"{name}.launch.py"), "--show-args")
    assert "'namespace'" in shown and "'params_file'" in shown
    assert ("'bag'" in shown) == (name == "replay")
