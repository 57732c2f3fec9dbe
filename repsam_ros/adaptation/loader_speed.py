"""How many frames a second the training loader gives."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch

from repsam_ros.adaptation.batches import LoaderSettings, training_batches
from repsam_ros.adaptation.pictures import PictureMaker


def loader_speed(
    maker: PictureMaker, settings: LoaderSettings, runs: int, batches: int
) -> dict[str, Any]:
    """Times ``runs`` stretches of at least ``batches`` batches each, one after the other.

    Where other programs share the machine, the best stretch tells most of the loader. A stretch
    is long against what workers make in advance, because they go on when this process is held up.
    """
    in_advance = settings.workers * settings.ahead
    batches = max(batches, 8 * in_advance)
    start = time.perf_counter()
    stream = training_batches(maker, settings, torch.device("cpu"))
    next(stream)
    startup_s = time.perf_counter() - start
    _take(stream, in_advance)
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        _take(stream, batches)
        seconds.append(time.perf_counter() - start)
    frames = batches * settings.batch_size
    rates = sorted(frames / duration for duration in seconds)
    return {
        "frames_per_second": {"best": rates[-1], "median": rates[len(rates) // 2], "all": rates},
        "frames_per_run": frames,
        "startup_s": startup_s,
        "workers": settings.workers,
        "batch_size": settings.batch_size,
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
    }


def _take(stream: Iterator[Any], number: int) -> None:
    for _ in islice(stream, number):
        pass
