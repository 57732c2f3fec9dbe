"""Keeps the newest ignore mask and prompt for the frames to come."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import FrameError
from repsam_ros.perception.guidance import Guidance
from repsam_ros.structures import RgbdFrame


class HintStore:
    """Each hint holds until the next of its kind, or until all are cleared; stamps play no part.

    A hint is checked against the first frame after it. One that does not fit is counted and
    thrown away, and the one before stays in force. Once a hint in force no longer fits, as the
    camera changed its resolution, frames are refused: to leave it out would segment the robot.
    May be used from any thread.

    Args:
        warn: Told about each hint that is thrown away, by cause and message.
    """

    def __init__(self, warn: Callable[[str, str], None] = lambda cause, message: None) -> None:
        self._warn = warn
        self._lock = threading.Lock()
        self._now = Guidance()
        self._new: list[tuple[Guidance, str]] = []
        self._rejected: Counter[str] = Counter()

    def add_mask(self, ignored: NDArray[np.bool_], frame_id: str) -> None:
        """Takes a (H, W) ignore mask."""
        self._add(Guidance(ignored=ignored), frame_id)

    def add_outline(self, outline_px: NDArray[np.float32], frame_id: str) -> None:
        """Takes a prompt of (K, 2) pixels; K = 0 ends the one before."""
        self._add(Guidance(outline_px=outline_px), frame_id)

    def clear(self) -> None:
        """Forgets mask, prompt and counts."""
        with self._lock:
            self._now, self._new = Guidance(), []
            self._rejected.clear()

    def reject(self, cause: str, message: str) -> None:
        """Counts a hint that cannot be used."""
        with self._lock:
            self._rejected[cause] += 1
        self._warn(cause, message)

    def rejected(self) -> Counter[str]:
        """Hints that were thrown away, by cause."""
        with self._lock:
            return Counter(self._rejected)

    def description(self) -> dict[str, str]:
        """What is in force, for people."""
        with self._lock:
            ignored, outline_px = self._now.ignored, self._now.outline_px
        prompt = "none"
        if outline_px is not None:
            x, y = outline_px.mean(axis=0)
            prompt = f"{'point' if len(outline_px) == 1 else 'polygon'} at ({x:.0f}, {y:.0f})"
        share = "none" if ignored is None else f"{100 * ignored.mean():.1f} %"
        return {"prompt": prompt, "ignored": share}

    def guidance(self, frame: RgbdFrame) -> Guidance:
        """What holds for a frame.

        Raises:
            FrameError: What is in force does not fit it.
        """
        frame_px = frame.depth_m.shape
        with self._lock:
            new, self._new = self._new, []
        for hint, frame_id in new:
            try:
                _check_frame(hint, frame_id, frame.frame_id)
                self._take(hint, frame_px)
            except FrameError as error:
                self.reject(error.cause, str(error))
        with self._lock:
            now = self._now
        now.check(frame_px)
        return now

    def _add(self, hint: Guidance, frame_id: str) -> None:
        with self._lock:
            # Only the newest of a kind counts, whether or not frames come.
            same = hint.ignored is None
            self._new = [item for item in self._new if (item[0].ignored is None) != same]
            self._new.append((hint, frame_id.lstrip("/")))

    def _take(self, hint: Guidance, frame_px: tuple[int, ...]) -> None:
        if hint.outline_px is not None and not len(hint.outline_px):
            hint = Guidance()
        else:
            hint.check(frame_px)
        with self._lock:
            if hint.ignored is not None:
                self._now = Guidance(hint.ignored, self._now.outline_px)
            else:
                self._now = Guidance(self._now.ignored, hint.outline_px)


def _check_frame(hint: Guidance, frame_id: str, wanted: str) -> None:
    if frame_id not in ("", wanted):
        what = "bad_prompt" if hint.ignored is None else "ignore_mask_frame"
        raise FrameError(
            what,
            f"in frame {frame_id!r}, expected pixels of the color image in {wanted!r}",
        )
