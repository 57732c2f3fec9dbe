"""Plays an RGB-D bag on real topics."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from repsam_ros.bags import BagTopics, bag_info, find_topics, read_bag
from repsam_ros.bags.topics import CAMERA_INFO_TYPE, COMPRESSED_TYPE, IMAGE_TYPE, BagStream
from repsam_ros.errors import ConfigError
from repsam_ros.ros.processes import ProcessError
from repsam_ros.ros.qos import input_qos
from repsam_ros.ros.shared_memory import enlarge_shared_memory

_TYPES = {IMAGE_TYPE: Image, COMPRESSED_TYPE: CompressedImage, CAMERA_INFO_TYPE: CameraInfo}
_POLL_S = 0.05
_QUEUE = 20
_DELIVERY_TIMEOUT_S = 10.0


def play_bag(
    bag: Path,
    *,
    rate_factor: float = 1.0,
    loop: bool = False,
    wait_s: float = 60.0,
    topics: BagTopics | None = None,
    stop: threading.Event | None = None,
) -> int:
    """Publishes a bag's messages, reliable, with their recorded bytes and spacing.

    The first message waits until every topic has a subscriber.

    Args:
        rate_factor: Times as fast as recorded.
        loop: Start again at the end, until ``stop`` is set.
        wait_s: Longest wait for subscribers.
        stop: Ends the playing early when set.

    Returns:
        Number of messages published.

    Raises:
        DatasetError: The bag cannot be read.
        ProcessError: A topic has no subscriber.
    """
    if not rate_factor > 0:
        raise ConfigError(f"rate factor must be positive, got {rate_factor}")
    topics = find_topics(bag_info(bag), topics or BagTopics())
    stop = stop or threading.Event()
    enlarge_shared_memory()
    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = Node(f"bag_player_{os.getpid()}", context=context)
    try:
        publishers = make_publishers(node, topics, input_qos("reliable", _QUEUE))
        _await_subscribers(publishers, wait_s, stop)
        count = 0
        while not stop.is_set():
            count += _play_once(bag, topics, publishers, rate_factor, stop)
            if not loop:
                break
        _await_delivery(publishers)
        return count
    finally:
        node.destroy_node()
        context.try_shutdown()


def make_publishers(node: Node, topics: BagTopics, qos: QoSProfile) -> dict[BagStream, Any]:
    """One for each stream of a bag."""
    types = topics.types()
    return {
        stream: node.create_publisher(_TYPES[types[stream]], topic, qos)
        for stream, topic in topics.by_stream().items()
    }


def _await_subscribers(
    publishers: dict[BagStream, Any], wait_s: float, stop: threading.Event
) -> None:
    end_s = time.monotonic() + wait_s
    while not stop.wait(_POLL_S):
        lonely = [pub.topic_name for pub in publishers.values() if not pub.get_subscription_count()]
        if not lonely:
            return
        if time.monotonic() > end_s:
            raise ProcessError(f"no subscriber on {', '.join(lonely)} after {wait_s:g} s")


def _play_once(
    bag: Path,
    topics: BagTopics,
    publishers: dict[BagStream, Any],
    rate_factor: float,
    stop: threading.Event,
) -> int:
    start_s, first_ns, count = time.monotonic(), None, 0
    for entry in read_bag(bag, topics):
        first_ns = entry.time_ns if first_ns is None else first_ns
        due_s = start_s + (entry.time_ns - first_ns) / 1e9 / rate_factor
        if stop.wait(max(due_s - time.monotonic(), 0.0)):
            break
        publishers[entry.stream].publish(entry.raw)
        count += 1
    return count


def _await_delivery(publishers: dict[BagStream, Any]) -> None:
    """Stays until subscribers have everything: what is not acknowledged dies with the publisher."""
    from rclpy.duration import Duration

    for publisher in publishers.values():
        publisher.wait_for_all_acked(Duration(seconds=_DELIVERY_TIMEOUT_S))
