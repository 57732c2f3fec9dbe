"""Counts, rates and latencies of a stream of frames, for diagnostics."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque

import numpy as np

_WINDOW_S = 5.0
DURATIONS_KEPT = 500


class RateMeter:
    """Events per second over the last few seconds."""

    def __init__(self, window_s: float = _WINDOW_S) -> None:
        self._window_s = window_s
        self._times_s: deque[float] = deque()

    def tick(self, now_s: float) -> None:
        """Notes one event."""
        self._times_s.append(now_s)
        self._forget(now_s)

    def rate_hz(self, now_s: float) -> float:
        """Rate between the first and the last event of the window; 0 with less than two."""
        self._forget(now_s)
        if len(self._times_s) < 2:
            return 0.0
        # Up to now, not up to the last event: a stream that stopped must not keep its rate.
        last_s = self._times_s[-1]
        mean_gap_s = (last_s - self._times_s[0]) / (len(self._times_s) - 1)
        gap_s = max(mean_gap_s, now_s - last_s)
        return 1.0 / gap_s if gap_s > 0 else 0.0

    def _forget(self, now_s: float) -> None:
        while self._times_s and now_s - self._times_s[0] > self._window_s:
            self._times_s.popleft()


class FrameStatistics:
    """What became of a node's inputs; may be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received: Counter[str] = Counter()
        self._rates: dict[str, RateMeter] = {}
        self._last_s: dict[str, float] = {}
        self._dropped: Counter[str] = Counter()
        self._durations_s: dict[str, deque[float]] = {}
        self.last_error = ""

    def note(self, stream: str) -> None:
        """One message of an input, or one frame that was published."""
        now_s = time.monotonic()
        with self._lock:
            self._received[stream] += 1
            self._last_s[stream] = now_s
            self._rates.setdefault(stream, RateMeter()).tick(now_s)

    def drop(self, cause: str, error: str = "") -> None:
        """One frame that will not be published."""
        with self._lock:
            self._dropped[cause] += 1
            if error:
                self.last_error = f"{cause}: {error}"

    def add_duration(self, stage: str, seconds: float) -> None:
        """How long a frame spent in a stage.

        ``latency`` is the time from the arrival of its last message until its results are out.
        """
        with self._lock:
            kept = self._durations_s.setdefault(stage, deque(maxlen=DURATIONS_KEPT))
            kept.append(seconds)

    def count(self, stream: str) -> int:
        """Messages so far."""
        with self._lock:
            return self._received[stream]

    def rate_hz(self, stream: str) -> float:
        """Messages per second, lately."""
        with self._lock:
            meter = self._rates.get(stream)
            return meter.rate_hz(time.monotonic()) if meter else 0.0

    def silence_s(self, stream: str, since_s: float) -> float:
        """Seconds without a message, counted from ``since_s`` (monotonic clock) at the earliest."""
        with self._lock:
            return time.monotonic() - max(self._last_s.get(stream, since_s), since_s)

    def dropped(self) -> Counter[str]:
        """Frames dropped so far, by cause."""
        with self._lock:
            return Counter(self._dropped)

    def durations_ms(self) -> dict[str, float]:
        """Percentiles of the last frames: ``latency_p50_ms`` ... ``latency_p99_ms``, by stage."""
        with self._lock:
            stages = {stage: np.array(kept) for stage, kept in self._durations_s.items()}
        percentiles = (50, 95, 99)
        return {
            f"{stage}_p{percentile}_ms": float(value)
            for stage, kept in stages.items()
            for percentile, value in zip(
                percentiles, np.percentile(kept, percentiles) * 1e3, strict=True
            )
        }

    def reset(self) -> None:
        """Back to zero."""
        with self._lock:
            self._received.clear()
            self._rates.clear()
            self._last_s.clear()
            self._dropped.clear()
            self._durations_s.clear()
            self.last_error = ""
