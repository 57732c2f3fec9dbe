"""A device that runs out of memory and a cache that cannot be written end no node."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

from repsam_ros.evaluation.soak.measures import unaccounted_images
from repsam_ros.ros.processes import node_command

pytestmark = pytest.mark.ros

CONFIGURE = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))

# The first image warms up, the second is a frame, the third finds the memory taken.
SHORT_OF_MEMORY = """
import itertools, torch
from repsam_ros.backends import torch as usual
from repsam_ros.methods import load_model

def build(config):
    number = itertools.count(1)

    def allocate(module, inputs):
        if next(number) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def load(name):
        network, model = load_model(name)
        network.fusion.register_forward_pre_hook(allocate)
        return network, model

    return usual.build(config, load)
"""
NODE = """
import sys
import repsam_ros.backends
from repsam_ros.cli._nodes import perception_node as main

repsam_ros.backends.__path__.append(sys.argv[1])
sys.exit(main(sys.argv[2:]))
"""


def test_a_frame_that_finds_no_memory_is_counted_and_the_next_one_comes(
    rig: Any, tmp_path: Path
) -> None:
    """A backend of its own, in a folder of its own: PyTorch's, with memory for two images."""
    (tmp_path / "short_of_memory.py").write_text(SHORT_OF_MEMORY)
    command = node_command(
        "",
        parameters={"qos.reliability": "reliable", "threads": "1", "backend": "short_of_memory"},
        remappings={
            "color/image_raw": "/camera/color/image_raw",
            "aligned_depth_to_color/image_raw": "/camera/aligned_depth_to_color/image_raw",
            "color/camera_info": "/camera/color/camera_info",
        },
    )
    arguments = command[command.index("--ros-args") :]
    child = rig.processes.start(
        "perception", [sys.executable, "-c", NODE, str(tmp_path), *arguments]
    )
    rig.session.bring_up(rig.node_name)
    rig.listen()
    rig.connect()
    before = rig.await_labels(rig.publish_frame())
    rig.publish_frame()
    rig.await_values(lambda values: values.get("dropped.out_of_memory") == "1", "the drop")
    after = rig.await_labels(rig.publish_frame())
    assert (after[1] == before[1]).all() and after[1].any()
    rig.await_idle()
    assert unaccounted_images(rig.values()) == 0
    assert "Tried to allocate 2.00 GiB" in rig.values()["last_error"]
    assert any("frame dropped: out_of_memory" in line for line in child.lines)


def test_a_cache_that_cannot_be_written_is_named_and_the_node_can_go_on(
    rig: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "repsam_ros").write_text("in the place of the folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    rig.start_perception(backend="onnxruntime")
    answer = rig.session.call(ChangeState, "/perception/change_state", CONFIGURE)
    assert not answer.success
    place = f"{tmp_path}/repsam_ros/graphs/"
    rig.await_values(
        lambda values: (
            place in values.get("last_error", "")
            and "cannot be written: Not a directory" in values["last_error"]
        ),
        "the folder's name",
    )
    assert rig.session.state("/perception") == "unconfigured"
    parameter = Parameter("backend", value="torch").to_parameter_msg()
    request = SetParameters.Request(parameters=[parameter])
    assert rig.session.call(SetParameters, "/perception/set_parameters", request).results[0]
    rig.session.bring_up(rig.node_name)
    rig.listen()
    rig.connect()
    rig.await_labels(rig.publish_frame())
