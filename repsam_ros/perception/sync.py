"""Pairs colour and depth images by stamp."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from statistics import median
from typing import Generic, Literal, TypeVar

Item = TypeVar("Item")
Stream = Literal["color", "depth"]

DEFAULT_SLOP_NS = 30_000_000
DEFAULT_QUEUE_SIZE = 20
# Two free-running cameras are at most half a period apart; the rest is for jitter. An item a whole
# period away is the partner of another one, however wide the slop.
_PERIODS = 0.6
_INTERVALS, _MIN_INTERVALS = 9, 3


@dataclass(frozen=True)
class SyncCounts:
    """What became of the items given to a synchroniser, at one moment.

    Every item received is in one pair, dropped, or pending:
    ``sum(received) == 2 * pairs + sum(dropped) + sum(pending)``.

    Attributes:
        received: Items by stream.
        pairs: Pairs handed out.
        dropped: Items by cause: ``unmatched_color``, ``unmatched_depth`` (no partner within the
            slop before a later pair or a full queue), ``time_jump`` (pending when stamps jumped
            back), ``out_of_order``, ``duplicate_stamp``, ``zero_stamp``, ``reset``.
        pending: Items by stream that still wait for a partner.
        time_jumps: How often the stamps of a stream jumped back.
    """

    received: Counter[str]
    pairs: int
    dropped: Counter[str]
    pending: Counter[str]
    time_jumps: int

    @property
    def unpaired(self) -> Counter[str]:
        """Items without a partner once nothing more will come: what waits is unmatched."""
        return self.dropped + Counter({f"unmatched_{k}": n for k, n in self.pending.items()})


class StampSynchronizer(Generic[Item]):
    """Pairs each colour item with the nearest waiting depth item within the slop.

    Once the streams' periods are known, the slop is no wider than 0.6 of the shorter one: after a
    lost image the next one waits for its own partner and does not take the lost one's.

    An item is used at most once and pairs come in the order of their stamps. Calls may come
    from any thread. Pairs are returned and not passed to a callback, so the lock is never
    held while they are worked on.

    A stamp more than the slop behind its stream is a jump back in time (a looped bag): what
    waits from later is dropped and matching goes on at once. Both streams may jump at
    different moments; items of the new round are kept.
    """

    def __init__(
        self, slop_ns: int = DEFAULT_SLOP_NS, queue_size: int = DEFAULT_QUEUE_SIZE
    ) -> None:
        if slop_ns < 0 or queue_size < 1:
            raise ValueError(f"slop_ns {slop_ns} must be >= 0, queue_size {queue_size} >= 1")
        self._slop_ns = slop_ns
        self._queue_size = queue_size
        self._lock = threading.Lock()
        self._queues: dict[Stream, list[tuple[int, Item]]] = {"color": [], "depth": []}
        self._newest_ns: dict[Stream, int | None] = {"color": None, "depth": None}
        self._intervals_ns: dict[Stream, deque[int]] = {
            "color": deque(maxlen=_INTERVALS),
            "depth": deque(maxlen=_INTERVALS),
        }
        self._received: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._pairs = 0
        self._time_jumps = 0

    def add(self, stream: Stream, stamp_ns: int, item: Item) -> list[tuple[Item, Item]]:
        """Takes one item; returns the ``(color, depth)`` pairs that it completes."""
        with self._lock:
            self._received[stream] += 1
            if not self._accept(stream, stamp_ns):
                return []
            other: Stream = "depth" if stream == "color" else "color"
            partner = self._nearest(other, stamp_ns)
            if partner is None:
                self._queues[stream].append((stamp_ns, item))
                if len(self._queues[stream]) > self._queue_size:
                    del self._queues[stream][0]
                    self._dropped[f"unmatched_{stream}"] += 1
                return []
            _, other_item = self._queues[other][partner]
            # Older items could only give pairs that come out of order.
            self._drop_first(other, partner)
            del self._queues[other][0]
            self._drop_first(stream, len(self._queues[stream]))
            self._pairs += 1
            return [(item, other_item) if stream == "color" else (other_item, item)]

    def reset(self) -> None:
        """Drops what waits and forgets the streams' times; the counts go on."""
        with self._lock:
            for stream, queue in self._queues.items():
                self._dropped["reset"] += len(queue)
                queue.clear()
                self._newest_ns[stream] = None
                self._intervals_ns[stream].clear()

    @property
    def dropped(self) -> Counter[str]:
        """Dropped items by cause, as of now."""
        return self.counts().dropped

    def counts(self) -> SyncCounts:
        """A consistent snapshot."""
        with self._lock:
            return SyncCounts(
                received=Counter(self._received),
                pairs=self._pairs,
                dropped=+self._dropped,
                pending=Counter({name: len(queue) for name, queue in self._queues.items()}),
                time_jumps=self._time_jumps,
            )

    def _accept(self, stream: Stream, stamp_ns: int) -> bool:
        """Counts a stamp that cannot be used; handles jumps back."""
        if stamp_ns <= 0:
            self._dropped["zero_stamp"] += 1
            return False
        newest_ns = self._newest_ns[stream]
        if newest_ns is not None and stamp_ns <= newest_ns:
            if stamp_ns == newest_ns:
                self._dropped["duplicate_stamp"] += 1
                return False
            if newest_ns - stamp_ns <= self._slop_ns:
                self._dropped["out_of_order"] += 1
                return False
            self._jump_back(stream, stamp_ns)
        elif newest_ns is not None:
            self._intervals_ns[stream].append(stamp_ns - newest_ns)
        self._newest_ns[stream] = stamp_ns
        return True

    def _jump_back(self, stream: Stream, stamp_ns: int) -> None:
        self._time_jumps += 1
        other: Stream = "depth" if stream == "color" else "color"
        # The other stream may have jumped first: what lies near the new time is of this round.
        kept = [entry for entry in self._queues[other] if entry[0] <= stamp_ns + self._slop_ns]
        stale = len(self._queues[stream]) + len(self._queues[other]) - len(kept)
        self._dropped["time_jump"] += stale
        self._queues[stream].clear()
        self._queues[other] = kept

    def _nearest(self, stream: Stream, stamp_ns: int) -> int | None:
        """Index of the nearest waiting item within the slop."""
        queue = self._queues[stream]
        best = min(
            range(len(queue)), key=lambda index: abs(queue[index][0] - stamp_ns), default=None
        )
        if best is None or abs(queue[best][0] - stamp_ns) > self._reach_ns():
            return None
        return best

    def _reach_ns(self) -> float:
        """The slop, or less where the streams are faster than it."""
        periods = [median(v) for v in self._intervals_ns.values() if len(v) >= _MIN_INTERVALS]
        return min([self._slop_ns, *(_PERIODS * period for period in periods)])

    def _drop_first(self, stream: Stream, count: int) -> None:
        self._dropped[f"unmatched_{stream}"] += count
        del self._queues[stream][:count]
