from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from repsam_ros.ros.processes import ChildProcess, ProcessError, ProcessGroup, wait_until

DEAF = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""
POLITE = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
print("ready", flush=True)
time.sleep(600)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def await_line(child: ChildProcess, line: str) -> None:
    wait_until(lambda: line in child.lines, 60.0, line, child.check)


def test_dead_child_is_reported_with_its_last_words() -> None:
    with ProcessGroup() as group:
        child = group.start("node", python("print('no weights', flush=True); raise SystemExit(3)"))
        assert child.wait(60) == 3
        with pytest.raises(ProcessError, match="node ended with exit code 3: no weights"):
            group.check()


def test_interrupt_comes_first_then_terminate() -> None:
    group = ProcessGroup(grace_s=2.0)
    polite, deaf = group.start("polite", python(POLITE)), group.start("deaf", python(DEAF))
    await_line(polite, "ready")
    await_line(deaf, "ready")
    codes = group.stop()
    assert codes["polite"] == 0
    assert codes["deaf"] == -15


def test_leaving_the_block_ends_the_processes() -> None:
    with pytest.raises(ZeroDivisionError), ProcessGroup() as group:
        child = group.start("child", python(POLITE))
        await_line(child, "ready")
        raise ZeroDivisionError
    assert child.exit_code == 0


def test_environment_and_lines_are_handed_on() -> None:
    said: list[tuple[str, str]] = []
    with ProcessGroup({"ANSWER": "42"}, lambda *entry: said.append(entry)) as group:
        child = group.start("child", python("import os; print(os.environ['ANSWER'])"))
        assert child.wait(60) == 0
        child.last_words()
    assert said == [("child", "42")]


def test_wait_names_what_it_waited_for() -> None:
    start_s = time.monotonic()
    with pytest.raises(ProcessError, match="waited 0.2 s for the moon"):
        wait_until(lambda: False, 0.2, "the moon")
    assert time.monotonic() - start_s >= 0.2


def test_a_signal_while_a_process_starts_leaves_none_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = []
    popen = subprocess.Popen

    def start_and_signal(*arguments: Any, **options: Any) -> Any:
        started.append(popen(*arguments, **options))
        signal.raise_signal(signal.SIGTERM)
        return started[0]

    def end(*_: object) -> None:
        raise SystemExit(143)

    monkeypatch.setattr(subprocess, "Popen", start_and_signal)
    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(SystemExit), ProcessGroup() as group:
            group.start("sleeper", ["sleep", "600"])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert started[0].poll() is not None
