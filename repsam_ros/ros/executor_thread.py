"""An executor in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node


class ExecutorThread:
    """Spins nodes of one context until it is stopped, or the context is shut down.

    Args:
        ended: Called in the thread when it ends, for whatever reason.

    Attributes:
        crash: The exception that ended it.
    """

    def __init__(self, *nodes: Node, ended: Callable[[], None] = lambda: None) -> None:
        self.crash: Exception | None = None
        self._ended = ended
        self._executor = _Executor(context=nodes[0].context)
        for node in nodes:
            self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name="executor", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """Ends it after the callback in work; False when that takes more than ``timeout_s``."""
        if self._thread.is_alive():
            # In its own thread: from elsewhere it takes away what the thread is about to wait for.
            self._executor.create_task(self._executor.shutdown)
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _spin(self) -> None:
        try:
            with suppress(ExternalShutdownException):
                self._executor.spin()
        except Exception as error:  # noqa: BLE001 - kept for the owner: a thread ends in silence
            self.crash = error
        finally:
            self._ended()


class _Executor(SingleThreadedExecutor):
    """Goes on when another thread destroys what it was about to wait for.

    Transitions run in threads and take subscriptions down. rclpy skips destroyed subscriptions,
    but not their QoS events: InvalidHandle would end the node, about once in 150 deactivations.
    """

    def wait_for_ready_callbacks(self, *args: Any, **kwargs: Any) -> Any:
        while True:
            # Nothing was taken yet, and the next round finds only what is still there.
            with suppress(_rclpy.InvalidHandle):
                return super().wait_for_ready_callbacks(*args, **kwargs)
