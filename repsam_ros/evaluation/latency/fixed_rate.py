"""A camera at a fixed rate: what is late, what is missed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from repsam_ros.structures import RgbdFrame


def run_at_rate(
    perceive: Callable[[RgbdFrame], object],
    frames: Sequence[RgbdFrame],
    rate_hz: float,
    seconds: float,
) -> dict[str, Any]:
    """Results of a worker that always takes the newest frame, as the perception node does.

    Latency is from a frame's arrival to its result; jitter is the difference between one interval
    of results and the next; frames that a newer one replaced are missed.
    """
    sent = max(2, round(rate_hz * seconds))
    latencies_s: list[float] = []
    done_s: list[float] = []
    newest = -1
    cpu_s, start_s = time.process_time(), time.perf_counter()
    while newest < sent - 1:
        arrived = min(int((time.perf_counter() - start_s) * rate_hz), sent - 1)
        if arrived == newest:
            time.sleep(max(0.0, start_s + (newest + 1) / rate_hz - time.perf_counter()))
            continue
        newest = arrived
        perceive(frames[newest % len(frames)])
        done_s.append(time.perf_counter() - start_s)
        latencies_s.append(done_s[-1] - newest / rate_hz)
    cpu_share = (time.process_time() - cpu_s) / (time.perf_counter() - start_s)
    intervals_s = np.diff(done_s)
    jitter_s = np.abs(np.diff(intervals_s))
    return {
        "rate_hz": rate_hz,
        "sent": sent,
        "missed": sent - len(done_s),
        "mean_fps": _rounded(1 / intervals_s.mean() if len(intervals_s) else 0.0),
        "latency_ms": {
            "first": _ms(latencies_s[0]),
            "last": _ms(latencies_s[-1]),
            "median": _ms(float(np.median(latencies_s))),
            "max": _ms(max(latencies_s)),
        },
        "jitter_ms": {
            "mean": _ms(float(jitter_s.mean())),
            "max": _ms(float(jitter_s.max())),
            "std": _ms(float(jitter_s.std())),
        }
        if len(jitter_s)
        else None,
        "cpu_percent": _rounded(100 * cpu_share),
    }


def _ms(value_s: float) -> float:
    return _rounded(1e3 * value_s)


def _rounded(value: float) -> float:
    return round(float(value), 2)
