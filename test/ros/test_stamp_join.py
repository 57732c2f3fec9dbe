from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from repsam_ros.ros.stamp_join import StampJoin

STREAMS = ("points", "plane", "pose")


def message(stamp_ns: int) -> Any:
    stamp = SimpleNamespace(sec=0, nanosec=stamp_ns)
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp))


def test_incomplete_sets_end_when_a_later_one_is_complete() -> None:
    join = StampJoin(STREAMS)
    assert join.add("plane", message(1)) is None
    for stream in ("points", "plane"):
        assert join.add(stream, message(2)) is None
    complete = join.add("pose", message(2))
    assert complete is not None and set(complete.messages) == set(STREAMS)
    assert join.add("points", message(1)) is None
    assert join.dropped() == {"missing_points": 1}


def test_stamps_may_jump_back() -> None:
    join = StampJoin(STREAMS)
    for stamp_ns in (5, 1):
        results = [join.add(stream, message(stamp_ns)) for stream in STREAMS]
        assert [result is not None for result in results] == [False, False, True]
    assert not join.dropped()


@given(st.permutations([(stream, stamp) for stream in STREAMS for stamp in (1, 2, 3)]))
def test_messages_of_a_set_share_its_stamp_whatever_the_order(
    arrivals: list[tuple[str, int]],
) -> None:
    join = StampJoin(STREAMS)
    complete = [
        result for stream, stamp in arrivals if (result := join.add(stream, message(stamp)))
    ]
    assert complete
    for result in complete:
        assert len({msg.header.stamp.nanosec for msg in result.messages.values()}) == 1


def test_keeps_a_bounded_number_of_incomplete_sets() -> None:
    join = StampJoin(STREAMS, kept=3)
    for stamp_ns in range(1, 11):
        join.add("pose", message(stamp_ns))
    assert join.dropped() == {"missing_points": 7}
