"""Two perception nodes share a process and an executor, and nothing else; over real DDS."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import rclpy
from lifecycle_msgs.msg import Transition
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image

from repsam_ros.messages import labels_from_image, stamp_to_ns
from repsam_ros.perception.pipeline import open_pipeline
from repsam_ros.ros.executor_thread import ExecutorThread
from repsam_ros.ros.perception_node import PerceptionNode
from repsam_ros.structures import RgbdFrame

pytestmark = pytest.mark.ros

QOS = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
INPUTS = {
    "info": (CameraInfo, "color/camera_info"),
    "depth": (Image, "aligned_depth_to_color/image_raw"),
    "color": (Image, "color/image_raw"),
}


class Camera:
    """Publishes one scene below a namespace and notes the label maps that come back."""

    def __init__(self, rig: Any, name: str, frame: RgbdFrame) -> None:
        self._rig, self.node_name, self._frame = rig, f"/{name}/perception", frame
        self.labels: dict[int, np.ndarray] = {}
        node = rig.session.node
        self._publishers = {
            stream: node.create_publisher(kind, f"/{name}/{topic}", QOS)
            for stream, (kind, topic) in INPUTS.items()
        }
        node.create_subscription(Image, f"{self.node_name}/labels", self._on_labels, QOS)

    def await_connection(self) -> None:
        self._rig.wait_until(
            lambda: (
                all(item.get_subscription_count() for item in self._publishers.values())
                and self.values().get("subscribers_labels") == "1"
            ),
            f"{self.node_name} to find this process",
        )

    def publish(self) -> int:
        ros, frame, stamp_ns = self._rig.ros, self._frame, self._rig.next_stamp_ns()
        camera = frame.intrinsics
        millimetres = np.rint(frame.depth_m * 1000).astype(np.uint16)
        messages = {
            "info": ros.camera_info(camera.width, camera.height, fx=camera.fx, stamp_ns=stamp_ns),
            "depth": ros.image(millimetres, "16UC1", stamp_ns=stamp_ns),
            "color": ros.image(frame.color, "rgb8", stamp_ns=stamp_ns),
        }
        for stream, data in self._rig.wire_format(messages).items():
            self._publishers[stream].publish(data)
        return stamp_ns

    def segmented(self) -> np.ndarray:
        """The node's label map of one more frame."""
        stamp_ns = self.publish()
        self._rig.wait_until(lambda: stamp_ns in self.labels, f"labels of {self.node_name}")
        return self.labels[stamp_ns]

    def values(self) -> dict[str, str]:
        values: dict[str, str] = self._rig.session.diagnostics(self.node_name)
        return values

    def _on_labels(self, msg: Image) -> None:
        self.labels[stamp_to_ns(msg.header.stamp)] = labels_from_image(msg)


@pytest.fixture
def one_process(rig: Any) -> Iterator[list[PerceptionNode]]:
    """Nodes ``/left/perception`` and ``/right/perception`` in this process, unconfigured."""
    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    values = {"qos.reliability": "reliable", "qos.depth": 20, "threads": 1}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    nodes = [
        PerceptionNode(context=context, namespace=name, parameter_overrides=overrides)
        for name in ("left", "right")
    ]
    executor = ExecutorThread(*nodes)
    try:
        yield nodes
    finally:
        for node in nodes:
            node.close()
        executor.stop()
        assert executor.crash is None
        for node in nodes:
            node.destroy_node()
        context.try_shutdown()


def test_each_has_its_own_frames_parameters_and_life(
    rig: Any, scene: RgbdFrame, one_process: list[PerceptionNode]
) -> None:
    shifted = dataclasses.replace(
        scene,
        color=np.roll(scene.color, 30, axis=1),
        depth_m=np.roll(scene.depth_m, 30, axis=1),
    )
    left, right = Camera(rig, "left", scene), Camera(rig, "right", shifted)
    rig.session.bring_up(left.node_name, right.node_name)
    left.await_connection()
    right.await_connection()
    pipeline = open_pipeline(threads=1)
    expected = pipeline.segment(scene).labels, pipeline.segment(shifted).labels
    assert (expected[0] != expected[1]).any()

    for camera, labels in zip((left, right), expected, strict=True):
        np.testing.assert_array_equal(camera.segmented(), labels)
    assert len(left.labels) == len(right.labels) == 1, "a frame went to both"

    request = SetParameters.Request(
        parameters=[Parameter("frame_step", value=2).to_parameter_msg()]
    )
    answer = rig.session.call(SetParameters, f"{left.node_name}/set_parameters", request)
    assert answer.results[0].successful
    assert [node.value("frame_step") for node in one_process] == [2, 1]

    for number, name in (
        (Transition.TRANSITION_DEACTIVATE, "deactivate"),
        (Transition.TRANSITION_CLEANUP, "cleanup"),
    ):
        rig.session.transition(left.node_name, number, name)
    assert rig.session.state(left.node_name) == "unconfigured"
    for _ in range(2):
        np.testing.assert_array_equal(right.segmented(), expected[1])
    rig.wait_until(lambda: right.values().get("published") == "3", "the right node's account")
