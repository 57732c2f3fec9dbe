from __future__ import annotations

import time
from typing import cast

from repsam_ros.evaluation.latency.fixed_rate import run_at_rate
from repsam_ros.structures import RgbdFrame

# What is perceived does not matter here.
FRAMES = [cast(RgbdFrame, name) for name in ("first", "second")]


def test_a_slow_worker_misses_frames_and_takes_the_newest() -> None:
    seen: list[object] = []

    def perceive(frame: object) -> None:
        seen.append(frame)
        time.sleep(0.12)

    run = run_at_rate(perceive, FRAMES, rate_hz=50.0, seconds=0.4)
    assert run["sent"] == 20
    # The last frame arrives after 0.38 s: work begins at most four times until then, and once more.
    assert len(seen) <= 5 and run["missed"] == 20 - len(seen)
    assert run["latency_ms"]["first"] >= 120
    assert run["mean_fps"] <= 1 / 0.12


def test_every_frame_is_seen_or_missed_and_the_last_one_is_seen() -> None:
    seen: list[object] = []
    run = run_at_rate(seen.append, FRAMES, rate_hz=20.0, seconds=0.3)
    assert run["sent"] == 6 == len(seen) + run["missed"]
    assert seen[-1] == "second" or len(seen) < 6
    assert run["jitter_ms"] is None or run["jitter_ms"]["max"] >= run["jitter_ms"]["mean"]
