"""Answers of services wait for clients that the middleware has yet to find."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node

_PAUSE_S = 0.5
# DDS repeats a lost announcement of an endpoint after three seconds (Fast DDS's default).
_PATIENCE_S = 10.0
_NO_CLIENT = "failed to send response"


class PatientAnswers:
    """Sends the answers of a node's services again while their client is not in sight.

    A client may ask before the service's process has heard of its place for answers. Fast DDS's
    middleware waits for that for 0.1 s and then throws the answer away, of which rclpy makes a
    warning: the client waits for ever. On a busy machine that was one of 2,440 calls made as soon
    as the service was there, the usual moment to configure a lifecycle node.

    Args:
        node: All services that it has by now.
        patience_s: After this an answer is given up, with a warning in the node's log.
    """

    def __init__(self, node: Node, patience_s: float = _PATIENCE_S) -> None:
        self._logger = node.get_logger()
        self._patience_s = patience_s
        self._waiting: list[_Answer] = []
        self._timer = node.create_timer(
            _PAUSE_S,
            self._send_again,
            callback_group=MutuallyExclusiveCallbackGroup(),
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        self._timer.cancel()
        _watch_warnings()
        services: list[Any] = list(node.services)
        for service in services:
            service.send_response = partial(self._send, service.srv_name, service.send_response)

    def _send(
        self, name: str, send: Callable[[Any, Any], None], response: Any, header: Any
    ) -> None:
        answer = _Answer(name, partial(send, response, header), time.monotonic() + self._patience_s)
        if not answer.is_sent():
            self._waiting.append(answer)
            self._timer.reset()

    def _send_again(self) -> None:
        now_s = time.monotonic()
        waiting = [answer for answer in self._waiting if not answer.is_sent()]
        self._waiting = [answer for answer in waiting if now_s < answer.end_s]
        for answer in waiting:
            if now_s >= answer.end_s:
                self._logger.warning(
                    f"an answer of {answer.service} was given up: its client was not found in"
                    f" {self._patience_s:g} s"
                )
        if not self._waiting:
            self._timer.cancel()


@dataclass(frozen=True)
class _Answer:
    service: str
    send: Callable[[], None]
    end_s: float

    def is_sent(self) -> bool:
        """Sends it; whether that is done with."""
        _seen.lost = False
        try:
            self.send()
        except _rclpy.InvalidHandle:
            return True  # the service is gone
        return not _seen.lost


_seen = threading.local()


def _watch_warnings() -> None:
    """A warning is all that rclpy makes of an answer that was not sent."""
    show = warnings.showwarning
    if getattr(show, "is_of_answers", False):
        return
    # By default only the first one from a line of code is shown.
    warnings.filterwarnings("always", _NO_CLIENT, RuntimeWarning)

    def note(message: Any, *rest: Any, **options: Any) -> None:
        if str(message).startswith(_NO_CLIENT):
            _seen.lost = True
        else:
            show(message, *rest, **options)

    note.is_of_answers = True  # type: ignore[attr-defined]
    warnings.showwarning = note
