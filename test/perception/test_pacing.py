"""Which frames are taken."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repsam_ros.perception.pacing import FramePacer

S = 1_000_000_000


def taken(stamps_s: list[float], step: int = 1, rate_hz: float = 0.0) -> list[float]:
    pacer = FramePacer()
    return [time for time in stamps_s if pacer.refusal(round(time * S), step, rate_hz) is None]


def test_every_frame_is_taken_by_default() -> None:
    assert taken([1, 1.01, 1.02]) == [1, 1.01, 1.02]


def test_every_third_frame_is_taken() -> None:
    assert taken(list(range(1, 10)), step=3) == [1, 4, 7]


def test_refusals_say_why() -> None:
    pacer = FramePacer()
    causes = Counter(pacer.refusal(S + k * S // 30, 2, 5.0) for k in range(60))
    assert causes == {"skipped": 30, None: 10, "rate_limit": 20}


@given(
    st.integers(1, 60),
    st.floats(0.5, 60),
    st.lists(st.floats(-0.2, 0.2), min_size=150, max_size=150),
)
def test_the_rate_is_kept_and_met_on_the_average(
    camera_hz: int, limit_hz: float, jitter: list[float]
) -> None:
    stamps = [10 + (k + wobble) / camera_hz for k, wobble in enumerate(jitter)]
    count = len(taken(stamps, rate_hz=limit_hz))
    duration_s = stamps[-1] - stamps[0]
    assert count <= duration_s * limit_hz + 2
    assert count >= min(duration_s * limit_hz * 0.99 - 2, 150 * 0.55)


@pytest.mark.parametrize("rate_hz", [0.5, 5.0])
def test_stamps_that_jump_back_go_on_at_once(rate_hz: float) -> None:
    stamps = [100.0, 100.01, 3.0, 3.01, 3.02]
    assert taken(stamps, rate_hz=rate_hz) == [100.0, 3.0]


def test_a_pause_is_not_made_up_for() -> None:
    stamps = [1.0, 1.1, *(60 + k / 10 for k in range(10))]
    assert len(taken(stamps, rate_hz=1.0)) == 2
