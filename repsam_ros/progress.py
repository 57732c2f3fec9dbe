"""A progress bar on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

T = TypeVar("T")

_BAR_CHARS = 24
_TERMINAL_PERIOD_S = 0.1
_LOG_PERIOD_S = 15.0


def track(
    items: Iterable[T], total: int, what: str, *, stream: TextIO | None = None
) -> Iterator[T]:
    """Yields ``items`` and shows how many are done, how fast, and how long the rest may take.

    A terminal gets one line that is redrawn; a log file gets a line every 15 seconds.
    """
    output = sys.stderr if stream is None else stream
    is_terminal = output.isatty()
    period_s = _TERMINAL_PERIOD_S if is_terminal else _LOG_PERIOD_S
    start_s = shown_s = time.monotonic()
    done = 0
    try:
        for item in items:
            yield item
            done += 1
            now_s = time.monotonic()
            if now_s - shown_s >= period_s or (is_terminal and done == total):
                shown_s = now_s
                _show(output, is_terminal, _line(what, done, total, now_s - start_s))
    finally:
        if is_terminal and shown_s != start_s:
            output.write("\n")
            output.flush()


def _show(output: TextIO, is_terminal: bool, line: str) -> None:
    output.write(f"\r\x1b[K{line}" if is_terminal else f"{line}\n")
    output.flush()


def _line(what: str, done: int, total: int, elapsed_s: float) -> str:
    filled = _BAR_CHARS * done // max(total, 1)
    bar = "#" * filled + "." * (_BAR_CHARS - filled)
    per_item_s = elapsed_s / max(done, 1)
    left = _duration(per_item_s * (total - done))
    return f"{what} [{bar}] {done}/{total}  {_seconds(per_item_s)} s each  {left} left"


def _seconds(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
