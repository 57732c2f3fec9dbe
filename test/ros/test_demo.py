"""The bag that the demo plays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from repsam_ros.bags import bag_info
from repsam_ros.ros.demo import make_demo_bag


def test_the_demo_renders_its_bag_where_none_of_that_many_frames_is(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="needs the extra simulation")
    bag = tmp_path / "bag"
    for count in (1, 2):
        make_demo_bag(bag, seed=7, count=count, rate_hz=1.0)
        assert len(bag_info(bag).names) == count
    made_ns = (bag / "metadata.yaml").stat().st_mtime_ns
    make_demo_bag(bag, seed=7, count=2, rate_hz=1.0)
    assert (bag / "metadata.yaml").stat().st_mtime_ns == made_ns


def test_the_demo_leaves_what_others_recorded_alone(ros: Any, tmp_path: Path) -> None:
    bag = ros.record(tmp_path / "bag", [("/camera/color/camera_info", ros.camera_info(64, 48))])
    make_demo_bag(bag, seed=7, count=2, rate_hz=1.0)
    assert bag_info(bag).message_count == 1
