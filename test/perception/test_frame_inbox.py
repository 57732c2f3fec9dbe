from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from repsam_ros.perception.frame_inbox import CompleteFrame, FrameInbox

PIXELS = np.zeros((2, 2), np.uint16)


class Camera:
    """Sends to an inbox; the focal length tells infos apart."""

    def __init__(self, ros: SimpleNamespace) -> None:
        self.ros = ros
        self.frames: list[CompleteFrame] = []
        self.inbox = FrameInbox(self.frames.append, slop_ns=0, queue_size=5)

    def pair(self, *stamps_ns: int) -> None:
        for stamp_ns in stamps_ns:
            image = self.ros.image(PIXELS, "16UC1", stamp_ns=stamp_ns)
            self.inbox.add_image("color", image)
            self.inbox.add_image("depth", image)

    def info(self, stamp_ns: int) -> None:
        info = self.ros.camera_info(2, 2, fx=float(stamp_ns), stamp_ns=stamp_ns)
        self.inbox.add_info(info)

    def matches(self) -> list[tuple[int, int]]:
        """Stamps of each frame's image and info."""
        return [(f.color_msg.header.stamp.nanosec, int(f.info_msg.k[0])) for f in self.frames]


@pytest.fixture
def camera(ros: SimpleNamespace) -> Camera:
    return Camera(ros)


def test_takes_the_info_with_the_stamp_of_the_image(camera: Camera) -> None:
    for stamp_ns in (1000, 2000, 3000):
        camera.info(stamp_ns)
    camera.pair(1000, 2000, 3000)
    assert camera.matches() == [(1000, 1000), (2000, 2000), (3000, 3000)]
    assert camera.inbox.pairs == 3


def test_info_that_comes_after_its_images_is_waited_for(camera: Camera) -> None:
    camera.pair(1000)
    camera.info(1000)
    camera.pair(2000)
    assert camera.matches() == [(1000, 1000)]
    camera.info(2000)
    assert camera.matches() == [(1000, 1000), (2000, 2000)]


def test_lost_info_is_replaced_by_a_later_one(camera: Camera) -> None:
    camera.info(1000)
    camera.pair(1000, 2000)
    camera.info(3000)
    camera.pair(3000)
    assert camera.matches() == [(1000, 1000), (2000, 3000), (3000, 3000)]


def test_one_lost_info_does_not_end_the_waiting_for_the_next(camera: Camera) -> None:
    camera.info(1000)
    camera.pair(1000, 2000, 3000)
    camera.info(3000)
    assert camera.matches() == [(1000, 1000), (2000, 3000), (3000, 3000)]
    camera.pair(4000)
    assert len(camera.frames) == 3
    camera.info(4000)
    assert camera.matches()[-1] == (4000, 4000)


def test_a_pair_without_its_info_never_takes_an_unusable_one(camera: Camera) -> None:
    camera.info(1000)
    camera.inbox.add_info(camera.ros.camera_info(2, 2, fx=0.0, stamp_ns=3000))
    camera.pair(2000, 3000)
    assert camera.matches() == [(2000, 1000), (3000, 0)]


def test_one_info_for_all_images_holds_nothing_up(camera: Camera) -> None:
    camera.info(7)
    camera.pair(1000)
    camera.pair(2000)
    assert camera.matches() == [(1000, 7), (2000, 7)]


def test_infos_that_stop_hold_up_no_more_than_two_pairs(camera: Camera) -> None:
    camera.info(1000)
    camera.pair(1000, 2000, 3000)
    assert len(camera.frames) == 1
    camera.pair(4000)
    camera.pair(5000)
    assert camera.matches() == [(stamp, 1000) for stamp in (1000, 2000, 3000, 4000, 5000)]


def test_pairs_wait_for_the_first_info(camera: Camera) -> None:
    camera.pair(1000, 2000, 3000)
    assert not camera.frames
    for stamp_ns in (1000, 2000, 3000):
        camera.info(stamp_ns)
    assert [image for image, _ in camera.matches()] == [1000, 2000, 3000]
    assert not camera.inbox.dropped()


def test_without_any_info_pairs_are_dropped_by_cause(camera: Camera) -> None:
    camera.pair(*range(1000, 9000, 1000))
    assert camera.inbox.pairs_dropped() == {"missing_camera_info": 3}
    camera.inbox.finish()
    assert camera.inbox.pairs_dropped() == {"missing_camera_info": 8}
    assert not camera.frames


def test_finish_hands_on_a_pair_that_waits_for_its_own_info(camera: Camera) -> None:
    camera.info(1000)
    camera.pair(1000, 2000)
    assert len(camera.frames) == 1
    camera.inbox.finish()
    assert camera.matches() == [(1000, 1000), (2000, 1000)]


def test_stamps_that_jump_back_hold_nothing_up(camera: Camera) -> None:
    for stamp_ns in (5_000_000_000, 6_000_000_000, 1_000_000_000, 2_000_000_000):
        camera.info(stamp_ns)
        camera.pair(stamp_ns)
    assert len(camera.frames) == 4


def test_reset_forgets_what_waits(camera: Camera) -> None:
    camera.info(1000)
    camera.inbox.add_image("color", camera.ros.image(PIXELS, "16UC1", stamp_ns=1000))
    camera.inbox.reset()
    camera.inbox.add_image("depth", camera.ros.image(PIXELS, "16UC1", stamp_ns=1000))
    camera.pair(5000)
    assert not camera.frames  # the info went, too
    camera.info(5000)
    assert camera.matches() == [(5000, 5000)]


def test_pairs_wait_for_the_first_intrinsics_of_depth(ros: SimpleNamespace) -> None:
    frames: list[CompleteFrame] = []
    inbox = FrameInbox(frames.append, slop_ns=0, queue_size=2, has_depth_info=True)
    image = [ros.image(PIXELS, "16UC1", stamp_ns=stamp_ns) for stamp_ns in (1000, 2000, 3000)]
    inbox.add_info(ros.camera_info(2, 2, stamp_ns=1000))
    for msg in image:
        inbox.add_image("color", msg)
        inbox.add_image("depth", msg)
    assert not frames and inbox.dropped() == {"missing_camera_info": 1}
    depth_info = ros.camera_info(2, 2, fx=7.0)
    inbox.add_depth_info(depth_info)
    assert [frame.depth_info_msg for frame in frames] == [depth_info] * 2
