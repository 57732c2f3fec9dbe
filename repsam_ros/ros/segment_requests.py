"""Calls of ``~/segment`` that wait for a frame."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.task import Future

_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class _Request:
    asked_s: float
    answer: Future


class SegmentRequests:
    """Answers each call with the first frame that arrives after it.

    Args:
        finish: Completes a future from any thread.
    """

    def __init__(self, finish: Callable[[Future, Any], None]) -> None:
        self._finish = finish
        self._lock = threading.Lock()
        self._waiting: list[_Request] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    async def wait(self) -> tuple[bool, str]:
        """Success and message, once there is a frame or none came in time."""
        request = _Request(time.monotonic(), Future())
        with self._lock:
            self._waiting.append(request)
        timer = threading.Timer(_TIMEOUT_S, self._expire, (request,))
        timer.start()
        answer: tuple[bool, str] = await request.answer
        timer.cancel()
        return answer

    def answer(self, arrival_s: float, success: bool, text: str) -> None:
        """Answers the calls made before a frame arrived: older frames would be stale."""
        with self._lock:
            due = [item for item in self._waiting if item.asked_s <= arrival_s]
            self._waiting = [item for item in self._waiting if item.asked_s > arrival_s]
        for item in due:
            self._finish(item.answer, (success, text))

    def _expire(self, request: _Request) -> None:
        with self._lock:
            if request not in self._waiting:
                return
            self._waiting.remove(request)
        text = f"no frame arrived within {_TIMEOUT_S:g} s: see /diagnostics"
        self._finish(request.answer, (False, text))
