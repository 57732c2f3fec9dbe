from __future__ import annotations

import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repsam_ros.perception.sync import StampSynchronizer

MS = 1_000_000
START = 1_000 * MS


def feed(sync, events):
    """Gives stamps in ms as their own items; returns the pairs."""
    return [
        pair
        for stream, stamp_ms in events
        for pair in sync.add(stream, START + round(stamp_ms * MS), stamp_ms)
    ]


def assert_accounted(sync):
    counts = sync.counts()
    assert counts.received.total() == (
        2 * counts.pairs + counts.dropped.total() + counts.pending.total()
    )


def test_equal_stamps_pair_at_once_whatever_the_order():
    sync = StampSynchronizer()
    assert feed(sync, [("color", 0), ("depth", 0)]) == [(0, 0)]
    assert feed(sync, [("depth", 33), ("color", 33)]) == [(33, 33)]
    assert not sync.dropped


def test_the_nearest_waiting_item_is_taken():
    sync = StampSynchronizer()
    pairs = feed(sync, [("depth", 0), ("depth", 20), ("depth", 45), ("color", 25)])
    assert pairs == [(25, 20)]
    assert sync.dropped == {"unmatched_depth": 1}
    assert sync.counts().pending["depth"] == 1


def test_slop_is_inclusive():
    sync = StampSynchronizer(slop_ns=30 * MS)
    assert feed(sync, [("color", 0), ("depth", 30)]) == [(0, 30)]
    assert feed(sync, [("color", 100), ("depth", 130.001)]) == []


def test_a_slower_depth_camera_pairs_every_depth_image():
    sync = StampSynchronizer()
    events = sorted(
        [("color", 33.3 * i) for i in range(60)] + [("depth", 66.6 * i + 4) for i in range(30)],
        key=lambda event: event[1],
    )
    pairs = feed(sync, events)
    assert len(pairs) == 30
    assert sync.dropped["unmatched_depth"] == 0
    assert_accounted(sync)


@pytest.mark.parametrize("rate_hz", [30, 60, 90])
@pytest.mark.parametrize("first", ["color", "depth"])
@pytest.mark.parametrize("lost", [("color", 20), ("depth", 20), ("color", 0), ("depth", 1)])
def test_after_a_lost_image_pairs_are_exact_again(rate_hz, first, lost):
    second = "depth" if first == "color" else "color"
    sync = StampSynchronizer(slop_ns=40 * MS)
    events = [(stream, 1000 / rate_hz * i) for i in range(60) for stream in (first, second)]
    pairs = feed(sync, [e for i, e in enumerate(events) if (e[0], i // 2) != lost])
    # A loss at the very start is not seen before the period is known.
    settled = [pair for pair in pairs if pair[0] > 1000 / rate_hz * 5]
    assert len(settled) >= 53
    assert all(color == depth for color, depth in settled)
    assert_accounted(sync)


@given(st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_free_running_cameras_pair_nearly_every_image(phase, seed):
    period, rng = 33.3, random.Random(seed)
    sync = StampSynchronizer()
    events = [
        (stream, period * (i + shift) + rng.uniform(-1, 1))
        for i in range(1, 60)
        for stream, shift in (("color", 0), ("depth", phase))
    ]
    pairs = feed(sync, sorted(events, key=lambda event: event[1]))
    assert len(pairs) >= 57
    assert all(abs(color - depth) <= 0.6 * (period + 2) for color, depth in pairs[5:])


def test_late_depth_of_a_slow_alignment_is_waited_for():
    sync = StampSynchronizer(queue_size=20)
    events = [("color", 33 * i) for i in range(10)] + [("depth", 33 * i) for i in range(10)]
    assert feed(sync, events) == [(33 * i, 33 * i) for i in range(10)]


def test_a_silent_stream_is_bounded_and_counted():
    sync = StampSynchronizer(queue_size=5)
    feed(sync, [("color", 33 * i) for i in range(100)])
    assert sync.dropped == {"unmatched_color": 95}
    assert sync.counts().pending["color"] == 5


@pytest.mark.parametrize("first", ["color", "depth"])
def test_all_pairs_come_after_a_bag_loops(first):
    second = "depth" if first == "color" else "color"
    sync = StampSynchronizer()
    loop = [(stream, 500 * i) for i in range(50) for stream in (first, second)]
    feed(sync, loop)
    assert feed(sync, loop) == [(500 * i, 500 * i) for i in range(50)]
    assert sync.counts().time_jumps == 2


def test_a_late_item_of_the_last_round_costs_no_pair():
    sync = StampSynchronizer()
    feed(sync, [("color", 1000), ("depth", 1000), ("color", 2000)])
    pairs = feed(sync, [("color", 10), ("depth", 2000), ("depth", 10), ("color", 510)])
    assert pairs == [(10, 10)]
    assert sync.dropped == {"time_jump": 2}
    assert feed(sync, [("depth", 510)]) == [(510, 510)]


def test_one_stamp_from_the_future_costs_one_image():
    sync = StampSynchronizer()
    pairs = feed(sync, [("color", 0), ("depth", 9e9), ("depth", 0), ("color", 33), ("depth", 33)])
    assert pairs == [(0, 0), (33, 33)]
    assert sync.dropped == {"time_jump": 1}


def test_zero_stamps_are_refused():
    sync = StampSynchronizer()
    assert sync.add("color", 0, "color") == []
    assert sync.add("depth", 0, "depth") == []
    assert sync.dropped == {"zero_stamp": 2}
    assert_accounted(sync)


def test_repeated_and_reordered_stamps_are_counted():
    sync = StampSynchronizer()
    assert feed(sync, [("color", 20), ("color", 20), ("color", 10), ("depth", 20)]) == [(20, 20)]
    assert sync.dropped == {"duplicate_stamp": 1, "out_of_order": 1}


def test_reset_forgets_times_and_keeps_counts():
    sync = StampSynchronizer()
    feed(sync, [("color", 500), ("depth", 500), ("color", 600)])
    sync.reset()
    assert feed(sync, [("color", 500), ("depth", 500)]) == [(500, 500)]
    assert sync.counts().pairs == 2
    assert sync.dropped == {"reset": 1}


def test_work_on_a_pair_blocks_no_input():
    """A consumer that fails or is busy leaves the synchroniser open to other threads."""
    sync = StampSynchronizer()

    def failing_consumer():
        sync.add("color", START, 0)
        for _pair in sync.add("depth", START, 0):
            raise RuntimeError("inference failed")

    with pytest.raises(RuntimeError):
        failing_consumer()
    thread = threading.Thread(target=feed, args=(sync, [("color", 33), ("depth", 33)]))
    thread.start()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert sync.counts().pairs == 2


def test_two_threads_lose_nothing():
    sync = StampSynchronizer(slop_ns=0, queue_size=1000)
    stamps = [START + i * 33 * MS for i in range(1000)]
    found = {"color": [], "depth": []}

    def run(stream):
        for stamp_ns in stamps:
            found[stream].extend(sync.add(stream, stamp_ns, stamp_ns))

    threads = [threading.Thread(target=run, args=(stream,)) for stream in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pairs = sorted(found["color"] + found["depth"])
    assert pairs == [(stamp_ns, stamp_ns) for stamp_ns in stamps]


EVENTS = st.lists(
    st.tuples(st.sampled_from(["color", "depth"]), st.integers(0, 400) | st.just(-1000)),
    max_size=80,
)


@given(EVENTS, st.integers(0, 40), st.integers(1, 6), st.booleans())
def test_pairs_are_within_slop_used_once_and_accounted(events, slop_ms, queue_size, in_order):
    if in_order:
        events = sorted(events, key=lambda event: event[1])
    sync = StampSynchronizer(slop_ns=slop_ms * MS, queue_size=queue_size)
    used = set()
    pairs = 0
    for index, (stream, stamp_ms) in enumerate(events):
        stamp_ns = START + stamp_ms * MS
        for color, depth in sync.add(stream, stamp_ns, (index, stamp_ns)):
            assert abs(color[1] - depth[1]) <= slop_ms * MS
            assert not {color, depth} & used
            used |= {color, depth}
            pairs += 1
        counts = sync.counts()
        assert all(pending <= queue_size for pending in counts.pending.values())
        assert counts.received.total() == index + 1
        assert_accounted(sync)
    assert sync.counts().pairs == pairs


@given(EVENTS, st.integers(0, 40))
def test_a_pair_leaves_no_nearer_waiting_item(events, slop_ms):
    sync = StampSynchronizer(slop_ns=slop_ms * MS, queue_size=1000)
    events = sorted(set(events), key=lambda event: (event[1], event[0]))
    events = [event for event in events if event[1] >= 0]
    used: set[tuple[str, int]] = set()
    previous = (-1, -1)
    for index, (stream, stamp_ms) in enumerate(events):
        for color, depth in sync.add(stream, START + stamp_ms * MS, stamp_ms):
            other = "depth" if stream == "color" else "color"
            waiting = {
                stamp
                for name, stamp in events[:index]
                if name == other and (name, stamp) not in used and stamp > previous[name == "depth"]
            }
            partner = depth if stream == "color" else color
            assert abs(partner - stamp_ms) == min(abs(stamp - stamp_ms) for stamp in waiting)
            assert color > previous[0]
            assert depth > previous[1]
            previous = (color, depth)
            used |= {("color", color), ("depth", depth)}
