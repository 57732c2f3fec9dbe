"""Simulated grasp trials through the running nodes: what is measured is what is deployed.

A simulated camera publishes each picture, the perception and planner nodes answer on their topics,
and the answer is a chain like any other for the trials' loops.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from repsam_ros.bags import BagTopics
from repsam_ros.messages import color_image, depth_image
from repsam_ros.ros.conversions import image_message, make_header
from repsam_ros.ros.live_run import PERCEPTION, PLANNER, await_recorder, started_nodes
from repsam_ros.ros.qos import input_qos
from repsam_ros.ros.recorder import Recorder
from repsam_ros.ros.session import Session
from repsam_ros.structures import Grasp, Intrinsics, RgbdFrame
from repsam_ros.trials.chains import Answer, Wanted
from repsam_ros.trials.sensing import View

_QUEUE = 5
_ANSWER_S = 120.0
_CONNECT_S = 60.0
_PERIOD_NS = 1_000_000_000


@contextmanager
def live_chain(model: str = "repsam_tiny") -> Iterator[LiveChain]:
    """Starts the nodes in processes of their own, on a domain of their own.

    Raises:
        ProcessError: A node died or did not answer.
    """
    parameters = {"model": model, "threads": "1"}
    with started_nodes(planner=True, parameters=parameters, every_frame=True) as (_, session):
        chain = LiveChain(session)
        session.bring_up(PERCEPTION, PLANNER)
        await_recorder(session, planner=True)
        chain.camera.await_subscribers(session)
        yield chain


class LiveChain:
    """The nodes of a session as a :class:`repsam_ros.trials.chains.Chain`.

    They plan for every object, so times are not those of an offline chain, which plans for the
    target alone.
    """

    def __init__(self, session: Session) -> None:
        self.camera = SimulatedCamera(session.node)
        self._session = session
        self._labels: dict[int, NDArray[np.uint16]] = {}
        self._grasps: dict[int, list[Grasp]] = {}
        Recorder(
            session.node,
            PERCEPTION,
            self._labels.__setitem__,
            lambda cloud: None,
            PLANNER,
            self._grasps.__setitem__,
        )

    def __call__(self, view: View, wanted: Wanted, /) -> Answer:
        start_s = time.perf_counter()
        stamp_ns = self.camera.publish(view.frame)
        self._await(self._labels, stamp_ns, "labels")
        segmented_s = time.perf_counter()
        self._await(self._grasps, stamp_ns, "grasps")
        planned_s = time.perf_counter()
        labels, grasps = self._labels.pop(stamp_ns), self._grasps.pop(stamp_ns)
        return Answer(labels, grasps, segmented_s - start_s, planned_s - segmented_s)

    def _await(
        self,
        answers: dict[int, NDArray[np.uint16]] | dict[int, list[Grasp]],
        stamp_ns: int,
        what: str,
    ) -> None:
        self._session.wait_until(lambda: stamp_ns in answers, _ANSWER_S, f"{what} of a picture")


class SimulatedCamera:
    """Publishes frames as an RGB-D driver does, each with a later stamp."""

    def __init__(self, node: Node, topics: BagTopics | None = None) -> None:
        topics = topics or BagTopics()
        qos = input_qos("reliable", _QUEUE)
        self._info = node.create_publisher(CameraInfo, topics.info, qos)
        self._depth = node.create_publisher(Image, topics.depth, qos)
        self._color = node.create_publisher(Image, topics.color, qos)
        self._stamp_ns = time.time_ns()

    def await_subscribers(self, session: Session) -> None:
        """Waits until someone hears each topic."""
        publishers = (self._info, self._depth, self._color)
        session.wait_until(
            lambda: all(publisher.get_subscription_count() for publisher in publishers),
            _CONNECT_S,
            "the perception node to find the camera",
        )

    def publish(self, frame: RgbdFrame) -> int:
        """Sends a frame; depth in millimetres. Returns its stamp."""
        self._stamp_ns += _PERIOD_NS
        header = make_header(self._stamp_ns, frame.frame_id)
        self._info.publish(_info_message(frame.intrinsics, header))
        self._depth.publish(image_message(depth_image(frame.depth_m), header))
        self._color.publish(image_message(color_image(frame.color), header))
        return self._stamp_ns


def _info_message(camera: Intrinsics, header: object) -> CameraInfo:
    k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    p = [camera.fx, 0.0, camera.cx, 0.0, 0.0, camera.fy, camera.cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return CameraInfo(
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=k,
        r=np.eye(3).ravel().tolist(),
        p=p,
    )
