from __future__ import annotations

import numpy as np
import pytest

from repsam_ros.evaluation.latency.rounds import Subject, run_rounds, speed_up, summary_ms
from repsam_ros.structures import Intrinsics, RgbdFrame


def frame(stamp_ns: int) -> RgbdFrame:
    camera = Intrinsics(10, 10, 2, 1, 4, 3)
    return RgbdFrame(np.zeros((3, 4, 3), np.uint8), np.zeros((3, 4), np.float32), camera, stamp_ns)


def test_each_frame_goes_to_all_before_the_next_and_another_one_begins() -> None:
    calls: list[tuple[str, int]] = []

    def subject(name: str, rounds: int) -> Subject:
        def run(frame: RgbdFrame) -> dict[str, float]:
            calls.append((name, frame.stamp_ns))
            return {"whole": len(calls)}

        return Subject(name, run, rounds)

    subjects = [subject("a", 3), subject("b", 3), subject("slow", 1)]
    times = run_rounds(subjects, [frame(1), frame(2)], warm_up=2, what="test")
    warm, measured = calls[:5], calls[5:]
    assert warm == [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("slow", 1)]
    assert measured == [
        *(("a", 1), ("b", 1), ("slow", 1)),
        *(("b", 2), ("a", 2)),
        *(("a", 1), ("b", 1)),
    ]
    assert [len(times[name]) for name in ("a", "b", "slow")] == [3, 3, 1]
    assert times["a"][0] == {"whole": 6}


def test_summaries_are_in_milliseconds() -> None:
    summary = summary_ms([0.001, 0.002, 0.003, 0.004, 0.1])
    assert (summary["median"], summary["iqr"]) == (3.0, 2.0)
    assert summary["p95"] == pytest.approx(80.8)
    assert summary["mean"] == pytest.approx(22.0)


def test_the_speed_up_is_the_median_of_ratios_within_rounds() -> None:
    own = [{"frame": value} for value in (1.0, 10.0, 1.0, 5.0)]
    other = [{"encoder": value} for value in (2.0, 20.0, 4.0)]
    ratio = speed_up(own, "frame", other, "encoder")
    assert ratio == {"median": 2.0, "p25": 2.0, "p75": 3.0, "rounds": 3}
