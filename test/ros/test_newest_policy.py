"""With a model that is slower than its camera every result is as new as it can be."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from repsam_ros.evaluation.soak.measures import unaccounted_images
from repsam_ros.perception.frame_inbox import CompleteFrame, FrameInbox
from repsam_ros.ros.newest_worker import NewestWorker

PERIOD_NS = 33_333_333
FRAMES = 40


class SlowModel:
    """Works until it is told that its time is over; time is counted in frames of the camera."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.done: list[int] = []
        self._changed = threading.Condition()
        self._finished = 0

    def work(self, frame: CompleteFrame) -> None:
        number = frame.color_msg.header.stamp.sec * 10**9 + frame.color_msg.header.stamp.nanosec
        with self._changed:
            self.begun.append(number // PERIOD_NS)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._finished >= len(self.begun), 60)
            self.done.append(self.begun[-1])
            self._changed.notify_all()

    def await_begun(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.begun) >= count, 60)

    def finish(self) -> None:
        with self._changed:
            self._finished += 1
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: len(self.done) >= self._finished, 60)


class Camera:
    """Sends frame after frame to an inbox; its clock counts frames."""

    def __init__(self, ros: Any, inbox: FrameInbox) -> None:
        self._ros, self._inbox, self.now = ros, inbox, 0

    def send(self) -> None:
        self.now += 1
        pixels = np.full((2, 2), self.now, np.uint16)
        image = self._ros.image(pixels, "16UC1", stamp_ns=self.now * PERIOD_NS)
        self._inbox.add_info(self._ros.camera_info(2, 2, stamp_ns=self.now * PERIOD_NS))
        self._inbox.add_image("depth", image)
        self._inbox.add_image("color", image)


@settings(max_examples=25)
@given(durations=st.lists(st.integers(1, 9), min_size=FRAMES, max_size=FRAMES))
def test_no_result_is_older_than_one_inference_and_one_period(
    ros: Any, durations: list[int]
) -> None:
    """The real inbox and worker, and a model that takes 1 to 9 frame periods."""
    model, stale, crashes = SlowModel(), [], []
    worker = NewestWorker(model.work, stale.append, crashes.append)
    camera = Camera(ros, FrameInbox(worker.submit))
    ages, end = [], 0

    def begin() -> int:
        """Waits until the worker has taken a frame; when it will be through with it."""
        model.await_begun(len(ages) + 1)
        duration = durations[len(ages)]
        ages.append((camera.now + duration - model.begun[-1], duration))
        return camera.now + duration

    for _ in range(FRAMES):
        is_busy = len(ages) > len(model.done)
        if is_busy and camera.now == end:
            newest = camera.now > model.begun[-1]
            model.finish()
            is_busy = newest
            end = begin() if newest else end
        camera.send()
        if not is_busy:
            end = begin()
    while len(model.begun) > len(model.done):
        is_last = model.begun[-1] == FRAMES
        model.finish()
        if not is_last:
            begin()
    worker.stop()
    assert not crashes
    assert all(age <= duration + 1 for age, duration in ages), ages
    assert model.done[-1] == FRAMES and model.done == sorted(set(model.done))
    assert len(model.done) + len(stale) == FRAMES


def test_node_at_30_hz_publishes_newer_and_newer_frames_and_the_last_one(perception: Any) -> None:
    """Over DDS: each frame is published or counted as stale, none twice, none out of order."""
    rig = perception
    rig.reset()
    start_ns = rig.next_stamp_ns()
    stamps = [start_ns + number * PERIOD_NS for number in range(60)]
    frames = [rig.wire_format(rig.messages(stamp_ns)) for stamp_ns in stamps]
    before = set(rig.labels)
    start_s = time.monotonic()
    for number, frame in enumerate(frames):
        time.sleep(max(start_s + number * PERIOD_NS / 1e9 - time.monotonic(), 0.0))
        rig.publish_bytes(frame)
    rig.await_labels(stamps[-1])
    rig.await_idle()
    values = rig.values()
    published = [stamp_ns for stamp_ns in rig.labels if stamp_ns not in before]
    assert published == sorted(published) and published[-1] == stamps[-1]
    assert int(values["published"]) == len(published)
    assert len(published) + int(values.get("dropped.stale", 0)) == 60
    assert unaccounted_images(values) == 0
