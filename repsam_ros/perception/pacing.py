"""Which frames of a stream are worked on when not all are wanted."""

from __future__ import annotations

_NS_PER_S = 1_000_000_000


class FramePacer:
    """Takes every ``step``-th frame, and of those no more than a rate allows.

    Stamps count, not arrivals: the same frames are taken from a bag at any speed. On the average
    the rate is met where the stream's own is no multiple of it, so two frames may be closer than
    its period.
    """

    def __init__(self) -> None:
        self._count = 0
        self._due_ns: int | None = None
        self._last_ns = 0

    def refusal(self, stamp_ns: int, step: int, max_rate_hz: float) -> str | None:
        """Why a frame is left out, ``skipped`` or ``rate_limit``; None when it is taken.

        Args:
            step: 1 takes every frame.
            max_rate_hz: 0 = no limit.
        """
        self._count += 1
        if (self._count - 1) % step:
            return "skipped"
        if max_rate_hz <= 0:
            return None
        period_ns = round(_NS_PER_S / max_rate_hz)
        # A looped bag starts anew.
        if stamp_ns < self._last_ns:
            self._due_ns = None
        self._last_ns = stamp_ns
        due_ns = stamp_ns if self._due_ns is None else self._due_ns
        if stamp_ns < due_ns:
            return "rate_limit"
        # What was missed in a pause is not made up for.
        self._due_ns = (due_ns if stamp_ns - due_ns < period_ns else stamp_ns) + period_ns
        return None
