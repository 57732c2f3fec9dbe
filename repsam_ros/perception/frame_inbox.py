"""Stores what a camera sends and says when a frame is complete."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from repsam_ros.errors import FrameError
from repsam_ros.messages import intrinsics_from_camera_info, stamp_to_ns
from repsam_ros.perception.sync import (
    DEFAULT_QUEUE_SIZE,
    DEFAULT_SLOP_NS,
    StampSynchronizer,
    Stream,
    SyncCounts,
)

_INFOS_KEPT = 30
# Topics are delivered each on its own, so an info may come a little after its images.
_PATIENT_PAIRS = 2


@dataclass(frozen=True)
class CompleteFrame:
    """The messages of one frame, still to be checked and decoded.

    Attributes:
        arrival_s: When the last of them arrived, monotonic clock.
        depth_info_msg: Intrinsics of depth; None where they are those of colour.
    """

    color_msg: Any
    depth_msg: Any
    info_msg: Any
    arrival_s: float
    depth_info_msg: Any = None


class FrameInbox:
    """Pairs colour and depth and finds each pair's camera info.

    Where infos come with every image, a pair waits for the one with its stamp, unless a later
    info came (its own was lost) or more pairs came (the infos have stopped). Else the newest
    info with a usable K is taken at once. Pairs that come before the first info wait for it.

    Args:
        on_complete: Gets each complete frame, in the thread that brought its last message.
        slop_ns: Largest difference between the stamps of colour and depth.
        queue_size: Images of one stream that wait for the other, and pairs that wait for the
            first info.
        has_depth_info: Depth has intrinsics of its own; pairs wait for the first, then the newest
            is taken.
    """

    def __init__(
        self,
        on_complete: Callable[[CompleteFrame], None],
        slop_ns: int = DEFAULT_SLOP_NS,
        queue_size: int = DEFAULT_QUEUE_SIZE,
        *,
        has_depth_info: bool = False,
    ) -> None:
        self._on_complete = on_complete
        self._has_depth_info = has_depth_info
        self._newest_depth_info: Any = None
        self._slop_ns, self._queue_size = slop_ns, queue_size
        self._sync: StampSynchronizer[Any] = StampSynchronizer(slop_ns, queue_size)
        self._lock = threading.Lock()
        self._infos: OrderedDict[int, Any] = OrderedDict()
        self._newest_info: Any = None
        self._newest_usable_info: Any = None
        self._patience = 0  # pairs in a row that may miss their info before none is waited for
        self._last_color_ns = 0
        self._pairs: deque[tuple[int, Any, Any]] = deque()
        self._dropped: Counter[str] = Counter()

    def add_image(self, stream: Stream, msg: Any) -> None:
        """Takes a colour or depth image."""
        for color_msg, depth_msg in self._sync.add(stream, stamp_to_ns(msg.header.stamp), msg):
            with self._lock:
                self._pairs.append((stamp_to_ns(color_msg.header.stamp), color_msg, depth_msg))
                if len(self._pairs) > self._queue_size:
                    self._pairs.popleft()
                    self._dropped["missing_camera_info"] += 1
            self._hand_on()

    def add_info(self, msg: Any) -> None:
        """Takes the intrinsics of the colour camera."""
        stamp_ns = stamp_to_ns(msg.header.stamp)
        with self._lock:
            self._newest_info = msg
            if _is_usable(msg):
                self._newest_usable_info = msg
            self._infos[stamp_ns] = msg
            if len(self._infos) > _INFOS_KEPT:
                self._infos.popitem(last=False)
            # Its image has gone on without it; the next one will wait.
            if stamp_ns == self._last_color_ns:
                self._patience = _PATIENT_PAIRS
        self._hand_on()

    def add_depth_info(self, msg: Any) -> None:
        """Takes the intrinsics of the depth images."""
        with self._lock:
            self._newest_depth_info = msg
        self._hand_on()

    def reset(self) -> None:
        """Forgets what waits, the known infos and the counts."""
        with self._lock:
            self._sync = StampSynchronizer(self._slop_ns, self._queue_size)
            self._infos.clear()
            self._newest_info = self._newest_usable_info = self._newest_depth_info = None
            self._patience = 0
            self._pairs.clear()
            self._dropped.clear()

    def finish(self) -> None:
        """Ends the waiting for infos, as none will come: hands pairs on or counts them."""
        with self._lock:
            self._patience = 0
            if self._infos_are_missing:
                self._dropped["missing_camera_info"] += len(self._pairs)
                self._pairs.clear()
        self._hand_on()

    def counts(self) -> SyncCounts:
        """What the synchroniser received, paired and dropped."""
        return self._sync.counts()

    @property
    def pairs(self) -> int:
        """Pairs of colour and depth so far."""
        return self.counts().pairs

    @property
    def waiting(self) -> int:
        """Images that wait for a partner, or with it for camera info."""
        with self._lock:
            return self._sync.counts().pending.total() + 2 * len(self._pairs)

    def dropped(self) -> Counter[str]:
        """Images and pairs that came to nothing here, by cause."""
        with self._lock:
            return self._sync.dropped + self._dropped

    def pairs_dropped(self) -> Counter[str]:
        """Complete pairs that came to nothing here, by cause."""
        with self._lock:
            return +self._dropped

    def _hand_on(self) -> None:
        frames = []
        with self._lock:
            while self._pairs:
                stamp_ns, color_msg, depth_msg = self._pairs[0]
                info_msg = self._infos.get(stamp_ns)
                if self._infos_are_missing or (info_msg is None and self._info_may_come(stamp_ns)):
                    break
                self._pairs.popleft()
                self._last_color_ns = stamp_ns
                if info_msg is None:
                    self._patience = max(self._patience - 1, 0)
                    info_msg = self._newest_usable_info or self._newest_info
                else:
                    self._patience = _PATIENT_PAIRS
                frames.append(
                    CompleteFrame(
                        color_msg, depth_msg, info_msg, time.monotonic(), self._newest_depth_info
                    )
                )
        for frame in frames:
            self._on_complete(frame)

    @property
    def _infos_are_missing(self) -> bool:
        """Whether no info of a kind that is needed has come yet."""
        return self._newest_info is None or (
            self._has_depth_info and self._newest_depth_info is None
        )

    def _info_may_come(self, stamp_ns: int) -> bool:
        is_due = stamp_to_ns(self._newest_info.header.stamp) < stamp_ns
        return bool(self._patience) and is_due and len(self._pairs) <= _PATIENT_PAIRS


def _is_usable(info_msg: Any) -> bool:
    try:
        intrinsics_from_camera_info(info_msg)
    except FrameError:
        return False
    return True
