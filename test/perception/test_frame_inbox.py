from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from repsam_ros.perception.frame_inbox import CompleteFrame, FrameInbox

PIXELS = np.zeros((2, 2), np.uint16)


def send_pair(inbox: FrameInbox, ros: SimpleNamespace, stamp_ns: int) -> None:
    inbox.add_image("color", ros.image(PIXELS, "16UC1", stamp_ns=stamp_ns))
    inbox.add_image("depth", ros.image(PIXELS, "16UC1", stamp_ns=stamp_ns))


def focal_px(frame: CompleteFrame) -> Any:
    return frame.info_msg.k[0]


def test_takes_the_info_with_the_stamp_of_the_image_else_the_newest(ros: SimpleNamespace) -> None:
    frames: list[CompleteFrame] = []
    inbox = FrameInbox(frames.append)
    for stamp_ns, fx in ((1000, 1.0), (2000, 2.0), (3000, 3.0)):
        inbox.add_info(ros.camera_info(2, 2, fx=fx, stamp_ns=stamp_ns))
    send_pair(inbox, ros, 2000)
    send_pair(inbox, ros, 4000)
    assert [focal_px(frame) for frame in frames] == [2.0, 3.0]
    assert inbox.pairs == 2


def test_first_pair_waits_for_its_info(ros: SimpleNamespace) -> None:
    frames: list[CompleteFrame] = []
    inbox = FrameInbox(frames.append)
    send_pair(inbox, ros, 1000)
    send_pair(inbox, ros, 2000)
    assert not frames
    inbox.add_info(ros.camera_info(2, 2, fx=9.0, stamp_ns=2000))
    inbox.add_info(ros.camera_info(2, 2, fx=9.0, stamp_ns=3000))
    assert [frame.color_msg.header.stamp.nanosec for frame in frames] == [2000]
    assert inbox.dropped() == {"missing_camera_info": 1}


def test_reset_forgets_what_waits(ros: SimpleNamespace) -> None:
    frames: list[CompleteFrame] = []
    inbox = FrameInbox(frames.append)
    inbox.add_info(ros.camera_info(2, 2))
    inbox.add_image("color", ros.image(PIXELS, "16UC1", stamp_ns=1000))
    inbox.reset()
    inbox.add_image("depth", ros.image(PIXELS, "16UC1", stamp_ns=1000))
    send_pair(inbox, ros, 5000)
    assert not frames  # the info went, too
    inbox.add_info(ros.camera_info(2, 2))
    assert len(frames) == 1
