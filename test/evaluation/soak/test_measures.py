from __future__ import annotations

import numpy as np
import pytest

from repsam_ros.evaluation.soak.measures import (
    age_excess_s,
    memory_growth_mb_h,
    newer_on_its_way_s,
    node_account,
    overhead_ms,
    rate_hz,
    unaccounted_clouds,
    unaccounted_images,
)
from repsam_ros.evaluation.soak.table import markdown

VALUES = {
    "received_color": "10",
    "received_depth": "9",
    "received_camera_info": "11",
    "published": "4",
    "waiting": "1",
    "dropped": "9",
    "dropped.unmatched_color": "2",
    "dropped.undecodable_depth": "2",
    "dropped.undecodable_camera_info": "5",
    "dropped.stale": "2",
    "dropped.truncated": "1",
}


def test_images_are_counted_alone_and_in_pairs() -> None:
    assert unaccounted_images(VALUES) == 0
    assert unaccounted_images(VALUES | {"received_depth": "12"}) == 3
    assert unaccounted_images(VALUES | {"dropped.stale": "3"}) == -2


def test_a_cloud_that_comes_after_its_plane_was_given_up_is_counted_once() -> None:
    values = {
        "received_points": "10",
        "published": "4",
        "dropped.stale": "5",
        "dropped.missing_points": "1",
        "dropped.missing_support_plane": "1",
    }
    assert unaccounted_clouds(values) == 0
    assert unaccounted_clouds(values | {"received_points": "12"}) == 2


def test_growth_leaves_out_the_first_quarter_and_single_steps() -> None:
    times_s = np.arange(0.0, 3600.0, 2.0)
    memory_mb = np.where(times_s < 900, times_s / 10, 90) + 3.0 * times_s / 3600
    assert memory_growth_mb_h(times_s, memory_mb) == pytest.approx(3.0, abs=0.05)
    memory_mb[-20:] += 50
    assert memory_growth_mb_h(times_s, memory_mb) == pytest.approx(3.0, abs=0.3)
    assert np.isnan(memory_growth_mb_h([0.0, 1.0], [1.0, 2.0]))


def test_a_queue_shows_as_age_and_the_newest_frame_does_not() -> None:
    period_s, work_s = 1 / 30, 0.25
    sent_s = np.arange(300) * period_s
    newest, queued, free_s = [], [], 0.0
    while free_s < sent_s[-1]:
        index = int(np.searchsorted(sent_s, free_s, "right")) - 1
        free_s = max(free_s, sent_s[index]) + work_s
        newest.append((sent_s[index], free_s))
        queued.append((sent_s[len(queued)], free_s))
    assert age_excess_s(*zip(*newest, strict=True)) <= period_s + 1e-9
    assert age_excess_s(*zip(*queued, strict=True)) > 5


def test_a_late_sender_does_not_count_as_age_but_the_way_and_a_queue_do() -> None:
    rng = np.random.default_rng(0)
    way_s, work_s = 0.004, 0.25
    all_sent_s = np.arange(300) / 30 + rng.uniform(0, 0.03, 300)
    arrived_s = all_sent_s + way_s
    newest, queued, free_s = [], [], float(arrived_s[0])
    while free_s < arrived_s[-1]:
        index = int(np.searchsorted(arrived_s, free_s, "right")) - 1
        free_s += work_s
        newest.append((all_sent_s[index], free_s + way_s))
        queued.append((all_sent_s[len(queued)], free_s + way_s))
    waited_s = newer_on_its_way_s(all_sent_s, *zip(*newest, strict=True))
    assert len(waited_s) == len(newest) - 1
    assert 0 < waited_s.max() <= 2 * way_s + 1e-9
    assert age_excess_s(*zip(*newest, strict=True)) > 1.3 / 30
    assert newer_on_its_way_s(all_sent_s, *zip(*queued, strict=True)).max() > 5
    assert newer_on_its_way_s([0.0, 1.0], [0.0, 1.0], [0.5, 1.5]).size == 0


def test_what_is_added_to_the_model_is_told_from_the_medians() -> None:
    values = {**VALUES, "latency_p50_ms": "100.0", "conversion_p50_ms": "1.0"}
    values["publishing_p50_ms"] = "3.0"
    assert overhead_ms([0.105, 0.101, 0.11], values) == 9.0
    assert overhead_ms([], values) is None and overhead_ms([0.1], VALUES) is None
    account = node_account(values, ("color", "absent"))
    assert account["received"] == {"color": 10, "absent": 0}
    assert account["times_ms"] == {
        "latency_p50": 100.0,
        "conversion_p50": 1.0,
        "publishing_p50": 3.0,
    }
    assert account["dropped"]["stale"] == 2
    assert (rate_hz([1.0]), rate_hz([1.0, 2.0, 5.0])) == (None, 0.5)


def test_the_table_has_every_figure_and_every_problem() -> None:
    node = {
        "received": {"color": 30},
        "published": 20,
        "dropped": {"stale": 10},
        "times_ms": {"compute_p50": 101.5, "conversion_p50": 2.5},
    }
    usage = {"memory_first_mb": 1.0, "memory_last_mb": 2.0, "memory_growth_mb_h": None}
    summary = {
        "minutes": 0.5,
        "rate_hz": 10.0,
        "frames_sent": 30,
        "perception": node,
        "grasp_planner": node | {"dropped": {}},
        "unaccounted": {"images in perception": 0},
        "lost_on_the_way": {"color": 7},
        "end_to_end_ms": {"p50": 108.9},
        "overhead_p50_ms": 5.83,
        "age_excess_frames": None,
        "newer_on_its_way_ms": {"p50": 3.25},
        "usage": {"perception node": usage | {"cpu_share": 0.2}},
        "machine": {"cpus": 2, "system": "Linux", "load_average": [3.0, 2.0, 1.0]},
        "problems": ["it broke"],
    }
    table = markdown(summary)
    for text in (
        "stale 10",
        "color 30",
        "5.83",
        "101.5",
        "p50 3.25",
        "color 7",
        "- it broke",
        "not judged",
    ):
        assert text in table
    assert "no problem" in markdown(summary | {"problems": []})
