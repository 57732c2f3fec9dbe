"""One thread that always works on the newest job."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")


class NewestWorker(Generic[Job]):
    """Runs ``work`` on the newest jobs submitted; jobs that newer ones overtake are dropped.

    Args:
        work: Handles one job, in the worker's thread.
        on_stale: Told about each overtaken job.
        on_failure: Told about an exception of ``work``; the worker ends.
        max_waiting: Jobs that wait beside the one in work. Late results are worse than none for
            a robot, so that one is right there; evaluation wants every result.
    """

    def __init__(
        self,
        work: Callable[[Job], None],
        on_stale: Callable[[Job], None],
        on_failure: Callable[[Exception], None],
        max_waiting: int = 1,
    ) -> None:
        self._work = work
        self._on_stale = on_stale
        self._on_failure = on_failure
        self._changed = threading.Condition()
        self._max_waiting = max_waiting
        self._waiting: deque[Job] = deque()
        self._is_busy = False
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="newest_worker", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Hands over a job; returns at once."""
        overtaken = []
        with self._changed:
            self._waiting.append(job)
            while len(self._waiting) > self._max_waiting:
                overtaken.append(self._waiting.popleft())
            self._changed.notify()
        for stale in overtaken:
            self._on_stale(stale)

    @property
    def is_idle(self) -> bool:
        """Nothing in work and nothing waiting."""
        with self._changed:
            return not self._is_busy and not self._waiting

    def stop(self) -> None:
        """Finishes the job in work, drops those that wait and ends the thread."""
        with self._changed:
            self._is_stopping = True
            overtaken = list(self._waiting)
            self._waiting.clear()
            self._changed.notify()
        for stale in overtaken:
            self._on_stale(stale)
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._is_busy = False
                self._changed.wait_for(lambda: self._waiting or self._is_stopping)
                if not self._waiting:
                    return
                job = self._waiting.popleft()
                self._is_busy = True
            try:
                self._work(job)
            except Exception as error:  # noqa: BLE001 - handed on: a thread would end in silence
                self._on_failure(error)
                return
