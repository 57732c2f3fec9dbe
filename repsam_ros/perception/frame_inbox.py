"""Stores what a camera sends and says when a frame is complete."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from repsam_ros.messages import stamp_to_ns
from repsam_ros.perception.sync import DEFAULT_SLOP_NS, StampSynchronizer, Stream, SyncCounts

_INFOS_KEPT = 30


@dataclass(frozen=True)
class CompleteFrame:
    """The messages of one frame, still to be checked and decoded.

    Attributes:
        arrival_s: When the last of them arrived, monotonic clock.
    """

    color_msg: Any
    depth_msg: Any
    info_msg: Any
    arrival_s: float


class FrameInbox:
    """Pairs colour and depth and finds each pair's camera info.

    The info with the colour image's stamp is taken, else the newest. A pair that comes before
    the first info waits for it; a newer pair takes its place.

    Args:
        on_complete: Gets each complete frame, in the thread that brought its last message.
        slop_ns: Largest difference between the stamps of colour and depth.
        queue_size: Images of one stream that wait for the other.
    """

    def __init__(
        self,
        on_complete: Callable[[CompleteFrame], None],
        slop_ns: int = DEFAULT_SLOP_NS,
        queue_size: int = 20,
    ) -> None:
        self._on_complete = on_complete
        self._slop_ns, self._queue_size = slop_ns, queue_size
        self._sync: StampSynchronizer[Any] = StampSynchronizer(slop_ns, queue_size)
        self._lock = threading.Lock()
        self._infos: OrderedDict[int, Any] = OrderedDict()
        self._newest_info: Any = None
        self._pair_without_info: tuple[Any, Any] | None = None
        self._dropped: Counter[str] = Counter()

    def add_image(self, stream: Stream, msg: Any) -> None:
        """Takes a colour or depth image."""
        for color_msg, depth_msg in self._sync.add(stream, stamp_to_ns(msg.header.stamp), msg):
            self._complete(color_msg, depth_msg)

    def add_info(self, msg: Any) -> None:
        """Takes the intrinsics of the colour camera."""
        with self._lock:
            self._newest_info = msg
            self._infos[stamp_to_ns(msg.header.stamp)] = msg
            if len(self._infos) > _INFOS_KEPT:
                self._infos.popitem(last=False)
            pair, self._pair_without_info = self._pair_without_info, None
        if pair is not None:
            self._complete(*pair)

    def reset(self) -> None:
        """Forgets what waits, the known infos and the counts."""
        with self._lock:
            self._sync = StampSynchronizer(self._slop_ns, self._queue_size)
            self._infos.clear()
            self._newest_info = self._pair_without_info = None
            self._dropped.clear()

    def finish(self) -> None:
        """Counts a pair that still waits for a camera info as dropped: none will come."""
        with self._lock:
            self._dropped["missing_camera_info"] += self._pair_without_info is not None
            self._pair_without_info = None

    def counts(self) -> SyncCounts:
        """What the synchroniser received, paired and dropped."""
        return self._sync.counts()

    @property
    def pairs(self) -> int:
        """Pairs of colour and depth so far."""
        return self.counts().pairs

    def dropped(self) -> Counter[str]:
        """Images and pairs that came to nothing here, by cause."""
        with self._lock:
            return self._sync.dropped + self._dropped

    def pairs_dropped(self) -> Counter[str]:
        """Complete pairs that came to nothing here, by cause."""
        with self._lock:
            return +self._dropped

    def _complete(self, color_msg: Any, depth_msg: Any) -> None:
        with self._lock:
            info_msg = self._infos.get(stamp_to_ns(color_msg.header.stamp), self._newest_info)
            if info_msg is None:
                self._dropped["missing_camera_info"] += self._pair_without_info is not None
                self._pair_without_info = (color_msg, depth_msg)
                return
        self._on_complete(CompleteFrame(color_msg, depth_msg, info_msg, time.monotonic()))
