from __future__ import annotations

import pytest

from repsam_ros.ros.frame_statistics import FrameStatistics, RateMeter


def test_rate_of_a_steady_stream_falls_once_it_stops() -> None:
    meter = RateMeter(window_s=5.0)
    for tick in range(20):
        meter.tick(tick * 0.1)
    assert meter.rate_hz(1.9) == pytest.approx(10.0)
    assert meter.rate_hz(3.9) == pytest.approx(0.5)
    assert meter.rate_hz(20.0) == 0.0


def test_latency_percentiles_and_reset() -> None:
    statistics = FrameStatistics()
    assert not statistics.durations_ms()
    for milliseconds in range(1, 102):
        statistics.add_duration("latency", milliseconds / 1000)
    durations_ms = statistics.durations_ms()
    assert durations_ms["latency_p50_ms"] == pytest.approx(51.0)
    assert durations_ms["latency_p95_ms"] == pytest.approx(96.0)
    statistics.drop("stale")
    statistics.drop("empty_depth", "no valid pixel")
    assert statistics.dropped() == {"stale": 1, "empty_depth": 1}
    assert statistics.last_error == "empty_depth: no valid pixel"
    statistics.reset()
    assert not statistics.dropped() and not statistics.last_error
