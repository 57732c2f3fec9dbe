"""Joins messages of several topics that carry one stamp."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from repsam_ros.messages import stamp_to_ns


@dataclass(frozen=True)
class JoinedMessages:
    """One message of each stream, all with the same stamp.

    Attributes:
        arrival_s: When the last of them arrived, monotonic clock.
    """

    messages: dict[str, Any]
    arrival_s: float


class StampJoin:
    """Collects what belongs together; an incomplete set ends when a later one is complete.

    Args:
        streams: What makes a set complete.
        kept: Incomplete sets that are kept.
    """

    def __init__(self, streams: Sequence[str], kept: int = 10) -> None:
        self._streams = tuple(streams)
        self._kept = kept
        self._lock = threading.Lock()
        self._sets: dict[int, dict[str, Any]] = {}
        self._dropped: Counter[str] = Counter()

    def add(self, stream: str, msg: Any) -> JoinedMessages | None:
        """Takes one message; returns the set that it completes."""
        stamp_ns = stamp_to_ns(msg.header.stamp)
        with self._lock:
            messages = self._sets.setdefault(stamp_ns, {})
            messages[stream] = msg
            if len(messages) == len(self._streams):
                # In order of arrival: stamps may jump back, and then later ones are older.
                for earlier in list(self._sets):
                    incomplete = self._sets.pop(earlier)
                    if earlier == stamp_ns:
                        break
                    self._note(incomplete)
                return JoinedMessages(messages, time.monotonic())
            if len(self._sets) > self._kept:
                self._note(self._sets.pop(next(iter(self._sets))))
            return None

    def dropped(self) -> Counter[str]:
        """Sets given up, by the stream that was missing first: ``missing_points`` ..."""
        with self._lock:
            return Counter(self._dropped)

    def _note(self, incomplete: dict[str, Any]) -> None:
        missing = next(name for name in self._streams if name not in incomplete)
        self._dropped[f"missing_{missing}"] += 1
