"""The progress bar says how much is done and leaves the items alone."""

from __future__ import annotations

import io

import pytest

from repsam_ros import progress
from repsam_ros.progress import track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_the_end_and_a_line_break() -> None:
    terminal = Terminal()
    assert list(track("abc", 3, "work", stream=terminal)) == ["a", "b", "c"]
    last = terminal.getvalue().split("\r")[-1]
    assert "work [########################] 3/3" in last
    assert last.endswith("\n")


def test_short_work_is_silent_in_a_log_file() -> None:
    log = io.StringIO()
    assert list(track(range(3), 3, "work", stream=log)) == [0, 1, 2]
    assert log.getvalue() == ""


def test_long_work_writes_plain_lines_to_a_log_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LOG_PERIOD_S", 0.0)
    log = io.StringIO()
    list(track(range(2), 2, "work", stream=log))
    lines = log.getvalue().splitlines()
    assert len(lines) == 2
    assert "1/2" in lines[0] and "\r" not in log.getvalue()


def test_an_error_after_a_bar_starts_on_its_own_line() -> None:
    terminal = Terminal()

    def broken() -> object:
        yield 1
        raise ValueError

    with pytest.raises(ValueError):
        list(track(broken(), 1, "work", stream=terminal))
    assert terminal.getvalue().endswith("\n")


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61, "1:01"), (3723, "1:02:03")])
def test_durations(seconds: int, text: str) -> None:
    assert progress._duration(seconds) == text
