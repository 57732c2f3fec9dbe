"""Whole images fit into the shared memory of the middleware."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from repsam_ros.ros.shared_memory import enlarge_shared_memory

pytestmark = pytest.mark.ros

PROFILE = "FASTRTPS_DEFAULT_PROFILES_FILE"


def test_a_burst_of_best_effort_images_arrives_as_a_whole(rig: Any) -> None:
    """12 MB at once; what Fast DDS takes by default is 0.5 MB, and nothing is sent twice."""
    rig.start_perception(qos__reliability="best_effort")
    rig.listen()
    rig.session.bring_up(rig.node_name)
    rig.connect(reliable=False)
    rig.await_connection()
    color, depth = np.zeros((480, 640, 3), np.uint8), np.zeros((480, 640), np.uint16)
    frames = []
    for _ in range(8):
        stamp_ns = rig.next_stamp_ns()
        messages = {
            "info": rig.ros.camera_info(640, 480, stamp_ns=stamp_ns),
            "depth": rig.ros.image(depth, "16UC1", stamp_ns=stamp_ns),
            "color": rig.ros.image(color, "rgb8", stamp_ns=stamp_ns),
        }
        frames.append(rig.wire_format(messages))
    for frame in frames:
        rig.publish_bytes(frame)
    rig.await_values(
        lambda values: all(values[f"received_{name}"] == "8" for name in ("color", "depth")),
        "all images",
    )


@pytest.mark.parametrize("name", [PROFILE, "FASTDDS_BUILTIN_TRANSPORTS"])
def test_what_the_environment_says_is_left_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PROFILE, raising=False)
    monkeypatch.setenv(name, "mine")
    before = dict(os.environ)
    enlarge_shared_memory()
    assert dict(os.environ) == before
