"""What a long run of the nodes shows: whether anything got lost, grew or came too late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import theilslopes

# Drops of single images; every other cause stands for a pair of colour and depth.
_IMAGE_CAUSES = frozenset(
    {
        "unmatched_color",
        "unmatched_depth",
        "undecodable_color",
        "undecodable_depth",
        "time_jump",
        "out_of_order",
        "duplicate_stamp",
        "zero_stamp",
        "reset",
    }
)
_SLOPE_SAMPLES = 500
_SECONDS_PER_HOUR = 3600.0


def dropped_by_cause(values: Mapping[str, str]) -> dict[str, int]:
    """Drops in a node's diagnostics."""
    return {
        name.removeprefix("dropped."): int(count)
        for name, count in values.items()
        if name.startswith("dropped.")
    }


def node_account(values: Mapping[str, str], streams: Sequence[str]) -> dict[str, Any]:
    """What a node says of itself in its diagnostics; times are percentiles of its last frames."""
    return {
        "received": {name: int(values.get(f"received_{name}", 0)) for name in streams},
        "published": int(values.get("published", 0)),
        "dropped": dropped_by_cause(values),
        "times_ms": {
            name.removesuffix("_ms"): float(value)
            for name, value in values.items()
            if name.endswith("_ms")
        },
    }


def overhead_ms(end_to_end_s: Sequence[float], values: Mapping[str, str]) -> float | None:
    """What is neither the pipeline nor waiting for it: transport, conversion, publishing; medians.

    Args:
        end_to_end_s: Of the frames that the node's percentiles are of.
        values: Diagnostics of the perception node.
    """
    if not len(end_to_end_s) or "latency_p50_ms" not in values:
        return None
    around_ms = sum(float(values[f"{stage}_p50_ms"]) for stage in ("conversion", "publishing"))
    waiting_and_compute_ms = float(values["latency_p50_ms"]) - around_ms
    return round(1e3 * float(np.median(end_to_end_s)) - waiting_and_compute_ms, 2)


def rate_hz(times_s: Sequence[float]) -> float | None:
    """Mean rate of events; None for less than two."""
    return round((len(times_s) - 1) / (times_s[-1] - times_s[0]), 2) if len(times_s) > 1 else None


def unaccounted_images(values: Mapping[str, str]) -> int:
    """Images that an idle perception node received, less what it says became of them."""
    singles = pairs = 0
    for cause, count in dropped_by_cause(values).items():
        if cause in _IMAGE_CAUSES:
            singles += count
        elif not cause.startswith("undecodable_"):
            pairs += count
    received = sum(int(values[f"received_{stream}"]) for stream in ("color", "depth"))
    return received - singles - 2 * (pairs + int(values["published"])) - int(values["waiting"])


def unaccounted_clouds(values: Mapping[str, str]) -> int:
    """Clouds that an idle planner node received, less what it says became of them."""
    dropped = dropped_by_cause(values)
    # What came without its cloud is none; the cloud may come later, and then misses the rest.
    dropped.pop("missing_points", None)
    return int(values["received_points"]) - int(values["published"]) - sum(dropped.values())


def memory_growth_mb_h(times_s: Sequence[float], memory_mb: Sequence[float]) -> float:
    """Slope over the last three quarters of a run (Theil and Sen), NaN for less than 3 samples.

    The first quarter is left out: caches fill and allocators settle. A median of slopes does not
    take one step at an end for a trend.
    """
    times, memory = np.asarray(times_s, float), np.asarray(memory_mb, float)
    late = times >= times[0] + (times[-1] - times[0]) / 4 if len(times) else np.zeros(0, bool)
    times, memory = times[late], memory[late]
    if len(times) < 3:
        return float("nan")
    stride = -(-len(times) // _SLOPE_SAMPLES)
    return float(theilslopes(memory[::stride], times[::stride]).slope) * _SECONDS_PER_HOUR


def age_excess_s(sent_s: Sequence[float], received_s: Sequence[float]) -> float:
    """By how much a result was older than the time since the result before it, at worst.

    A worker that always takes the newest frame takes one that is at most a frame period old when
    it finishes the frame before. So the excess is at most one frame period, and what the way
    through the network adds; a queue makes it grow.

    Args:
        sent_s: When the frame of each result was sent, in the order of the results.
        received_s: When each result came.
    """
    sent, received = np.asarray(sent_s, float), np.asarray(received_s, float)
    if len(sent) < 2:
        return float("nan")
    return float(np.max((received - sent)[1:] - np.diff(received)))


def newer_on_its_way_s(
    all_sent_s: Sequence[float], sent_s: Sequence[float], received_s: Sequence[float]
) -> NDArray[np.float64]:
    """For each result but the first: how long a newer frame had been sent when work on it began.

    Work begins when the result before comes. Where the newest frame is taken, this is no more than
    the newer one's way to the node and the result's way back, however unsteady the sender; 0 where
    no newer one had been sent by then. A queue makes it grow. Results of the last frame sent, which
    has no newer one, are left out.

    Args:
        all_sent_s: When each frame was sent.
        sent_s: When the frame of each result was sent, in the order of the results.
        received_s: When each result came.
    """
    every, received = np.sort(np.asarray(all_sent_s, float)), np.asarray(received_s, float)
    newer = np.searchsorted(every, np.asarray(sent_s, float)[1:], "right")
    is_there = newer < len(every)
    waited_s: NDArray[np.float64] = received[:-1][is_there] - every[newer[is_there]]
    return waited_s.clip(0)
