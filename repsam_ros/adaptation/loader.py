"""Numbered things made in worker processes, in order and without end.

What is made follows from its number alone, so the number of workers changes nothing but the
speed, and a stream that is begun at any number goes on as an unbroken one.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Generator
from itertools import count
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from repsam_ros.errors import BackendError, DatasetError, RepsamError
from repsam_ros.simulation.workers import end_with_parent

Arrays = dict[str, Tensor]
Maker = Callable[[int], Arrays]


def made_in_order(
    make: Maker, first: int, workers: int, ahead: int, pinned: bool
) -> Generator[Arrays, None, None]:
    """Yields ``make(first)``, ``make(first + 1)``, ...; closing it ends the workers.

    Args:
        make: Travels to the workers; each keeps its own copy.
        workers: 0 = made in this process.
        ahead: What each worker makes in advance.
        pinned: In memory from which a GPU copies by itself.

    Raises:
        DatasetError: ``make`` raised a :class:`RepsamError`; the message is that one's.
        BackendError: A worker ended unexpectedly.
    """
    parallel: dict[str, Any] = {}
    if workers:
        parallel = {
            "num_workers": workers,
            "prefetch_factor": ahead,
            "multiprocessing_context": _context(make),
            "worker_init_fn": _start_worker,
        }
    loader: DataLoader[Any] = DataLoader(
        _Items(make),
        batch_size=None,
        sampler=count(first),
        pin_memory=pinned,
        # Else the loader would draw from the generator that the network is initialised with.
        generator=torch.Generator(),
        **parallel,
    )
    items = iter(loader)
    try:
        while True:
            item = _next(items)
            if isinstance(item, DatasetError):
                raise item
            yield item
    finally:
        # The last reference: its workers and threads end here, not at the interpreter's exit.
        del items


def _next(items: Any) -> Arrays | DatasetError:
    try:
        item: Arrays | DatasetError = next(items)
    except RuntimeError as error:
        if "exited unexpectedly" not in str(error):
            raise
        raise BackendError(
            "a worker process ended unexpectedly, perhaps for lack of memory; try fewer workers"
        ) from error
    return item


class _Items(Dataset[Any]):
    """What is made for each number, or the error that keeps it from being made."""

    def __init__(self, make: Maker) -> None:
        self._make = make

    def __getitem__(self, number: int) -> Arrays | DatasetError:
        try:
            return self._make(number)
        except RepsamError as error:
            # Not every exception survives the way from a worker; this one does, in one line.
            return DatasetError(str(error))


def _context(make: Maker) -> Any:
    """Workers are copies of a process that has imported what they need and done nothing else.

    A copy of a process that has threads may hang, and importing torch in every worker takes half
    a minute on a machine with many cores.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, type(make).__module__])
    return context


def _start_worker(_: int) -> None:
    # The loader itself keeps torch to the core that a worker has.
    cv2.setNumThreads(1)
    end_with_parent()
