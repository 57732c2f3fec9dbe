"""Functions of many items, run in this process or in several."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

import torch

from repsam_ros.errors import BackendError

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_here(
    function: Callable[[Item], Result], items: Iterable[Item], processes: int
) -> Generator[Result, None, None]:
    """Results in the order in which they are done.

    Raises:
        BackendError: A process ended without a result.
    """
    if processes <= 1:
        yield from map(function, items)
        return
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(processes, context, initializer=_follow_parent)
    try:
        with _ended(executor):
            yield from map_with(executor, function, items, 2 * processes)
    except BrokenProcessPool as error:
        raise BackendError(
            "a process ended unexpectedly, perhaps for lack of memory; "
            "start the same command again and it goes on"
        ) from error


@contextmanager
def one_thread() -> Iterator[None]:
    """The order of additions, and with it the last bit, may depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def map_with(
    executor: Executor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    at_once: int,
) -> Generator[Result, None, None]:
    """Results in the order in which they are done, ``at_once`` items under way at most."""
    left = iter(items)
    running: set[Future[Result]] = set()
    while True:
        for item in left:
            running.add(executor.submit(function, item))
            if len(running) >= at_once:
                break
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


@contextmanager
def _ended(executor: Executor) -> Iterator[None]:
    """On an error nothing new is begun."""
    try:
        yield
    finally:
        executor.shutdown(cancel_futures=True)


def _follow_parent() -> None:
    """Leaves interrupts to the parent, and ends when that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def end_with_parent() -> None:
    """Ends this process as soon as the one that asked for it is gone, killed or not.

    Nothing else would: the queue that a worker waits at stays open as long as another worker
    holds it, and the watch of PyTorch's loader is on the process that workers were copied from.
    """
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
