from __future__ import annotations

import numpy as np
import pytest

from repsam_ros.evaluation.soak import (
    age_excess_s,
    memory_growth_mb_h,
    unaccounted_clouds,
    unaccounted_images,
)
from repsam_ros.evaluation.soak_table import markdown

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
        "usage": {"perception node": usage | {"cpu_share": 0.2}},
        "machine": {"cpus": 2, "system": "Linux", "load_average": [3.0, 2.0, 1.0]},
        "problems": ["it broke"],
    }
    table = markdown(summary)
    for text in ("stale 10", "color 30", "5.83", "101.5", "color 7", "- it broke", "not judged"):
        assert text in table
    assert "no problem" in markdown(summary | {"problems": []})
