"""The executor lives on while other threads destroy what it waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import rclpy
from rclpy.callback_groups import CallbackGroup, ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.waitable import NumberOfEntities, Waitable
from std_msgs.msg import UInt32

from repsam_ros.ros.executor_thread import ExecutorThread
from repsam_ros.ros.session import environment_set, private_environment

pytestmark = pytest.mark.ros

PATIENCE_S = 60.0


class Interruption(Waitable):
    """Does something in the middle of the executor's preparations to wait."""

    def __init__(self, group: CallbackGroup, work: Callable[[], None]) -> None:
        super().__init__(group)
        self._work = work

    def __enter__(self) -> None:
        self._work()

    def __exit__(self, *_: object) -> None:
        pass

    def get_num_entities(self) -> NumberOfEntities:
        return NumberOfEntities()

    def add_to_wait_set(self, wait_set: object) -> None:
        pass

    def is_ready(self, wait_set: object) -> bool:
        return False


class InterruptedGroup(ReentrantCallbackGroup):
    """Likewise, while the executor asks which callbacks may run."""

    work: Callable[[], None]

    def can_execute(self, entity: object) -> bool:
        self.work()
        return False


@pytest.fixture
def node() -> Iterator[Node]:
    context = Context()
    with environment_set(private_environment()):
        rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
        node = Node("spun", context=context)
        yield node
        node.destroy_node()
        context.try_shutdown()


def expect_life(node: Node) -> None:
    """A timer that is made now has its turn."""
    ticked = threading.Event()
    node.create_timer(0.001, ticked.set)
    assert ticked.wait(PATIENCE_S)


def test_a_subscription_that_goes_while_it_is_collected_does_not_end_it(node: Node) -> None:
    def destroy() -> None:
        if subscriptions:
            assert node.destroy_subscription(subscriptions.pop())

    subscriptions: list[object] = []
    node.add_waitable(Interruption(node.default_callback_group, destroy))
    # After the interruption, so that its QoS events are still to be asked.
    subscription = node.create_subscription(UInt32, "topic", lambda msg: None, 1)
    executor = ExecutorThread(node)
    expect_life(node)
    subscriptions.append(subscription)
    expect_life(node)
    assert not subscriptions and executor.crash is None
    executor.stop()


def test_a_stop_while_it_collects_is_a_clean_end(node: Node) -> None:
    collects, ended = threading.Event(), threading.Event()

    def pause() -> None:
        collects.set()
        ended.wait(0.2)

    group = InterruptedGroup()
    group.work = pause
    node.create_timer(1.0, lambda: None, callback_group=group)
    executor = ExecutorThread(node, ended=ended.set)
    assert collects.wait(PATIENCE_S)
    executor.stop(PATIENCE_S)
    assert ended.is_set() and executor.crash is None


def test_an_exception_of_a_callback_is_kept_and_told(node: Node) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    ended = threading.Event()
    node.create_timer(0.001, fail)
    executor = ExecutorThread(node, ended=ended.set)
    assert ended.wait(PATIENCE_S)
    assert isinstance(executor.crash, ZeroDivisionError)
    executor.stop()
