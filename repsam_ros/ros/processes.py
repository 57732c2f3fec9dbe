"""Child processes: started, watched, stopped, and their last words kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from repsam_ros.errors import RepsamError

_LINES_KEPT = 40
_LINES_SHOWN = 8
_POLL_S = 0.05


class ProcessError(RepsamError, RuntimeError):
    """A node's process ended or did not answer."""


def node_command(
    executable: str,
    *,
    namespace: str = "",
    params_file: Path | None = None,
    parameters: Mapping[str, str] | None = None,
    remappings: Mapping[str, str] | None = None,
    log_level: str = "",
) -> list[str]:
    """The command that runs a node of this package.

    Args:
        executable: Its name, such as ``perception_node``.
        parameters: On top of ``params_file``; values as YAML.
    """
    command = [sys.executable, "-m", "repsam_ros.cli._nodes", executable, "--ros-args"]
    if namespace:
        command += ["-r", f"__ns:=/{namespace.strip('/')}"]
    if params_file is not None:
        command += ["--params-file", str(params_file)]
    for name, value in (parameters or {}).items():
        command += ["-p", f"{name}:={value}"]
    for name, topic in (remappings or {}).items():
        command += ["-r", f"{name}:={topic}"]
    if log_level:
        command += ["--log-level", log_level]
    return command


class ChildProcess:
    """One running command; its output is kept and handed on line by line.

    Args:
        label: For messages.
        environment: On top of this process's own.
        on_line: Gets every line of stdout and stderr, in a thread.
    """

    def __init__(
        self,
        label: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.label = label
        self._on_line = on_line
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        )
        self._reader = threading.Thread(target=self._read, name=f"{label}_output", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative after a signal."""
        return self._process.poll()

    @property
    def lines(self) -> list[str]:
        """Its last lines."""
        return list(self._lines)

    def check(self) -> None:
        """Raises a ProcessError with its last lines when it ended with an error."""
        code = self.exit_code
        if code:
            raise ProcessError(f"{self.label} ended with exit code {code}: {self.last_words()}")

    def last_words(self) -> str:
        """Its last lines in one, the reader having finished."""
        self._reader.join(timeout=1.0)
        return " | ".join(self.lines[-_LINES_SHOWN:]) or "it said nothing"

    def send(self, number: signal.Signals) -> None:
        """Sends a signal; nothing happens when it has ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def wait(self, timeout_s: float) -> int | None:
        """The exit code, None when it still runs after ``timeout_s``."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """Frees the pipe of an ended process."""
        self._reader.join(timeout=1.0)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.rstrip())
            self._on_line(line.rstrip())


class ProcessGroup:
    """Processes that live and end together; use as a context manager.

    Args:
        environment: Of every process, on top of this one's.
        on_line: Gets ``(label, line)`` of everything that they print.
        grace_s: What a process gets to end after SIGINT, then after SIGTERM, before it is killed.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str, str], None] = lambda label, line: None,
        grace_s: float = 5.0,
    ) -> None:
        self._environment = dict(environment or {})
        self._on_line = on_line
        self._grace_s = grace_s
        self.children: list[ChildProcess] = []

    def start(self, label: str, command: Sequence[str]) -> ChildProcess:
        """Starts a command."""
        # A signal that raises in between would leave a process that no one knows.
        with _signals_deferred():
            child = ChildProcess(
                label, command, self._environment, lambda line: self._on_line(label, line)
            )
            self.children.append(child)
        return child

    def check(self) -> None:
        """Raises a ProcessError when any of them ended with an error."""
        for child in self.children:
            child.check()

    def stop(self) -> dict[str, int | None]:
        """Ends all of them: SIGINT, then SIGTERM, then SIGKILL.

        Returns:
            Exit code by label.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            for child in self.children:
                if child.exit_code is None:
                    child.send(number)
            end_s = time.monotonic() + self._grace_s
            for child in self.children:
                child.wait(max(end_s - time.monotonic(), 0.0))
        for child in self.children:
            child.close()
        return {child.label: child.exit_code for child in self.children}

    def __enter__(self) -> ProcessGroup:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def stop_event() -> threading.Event:
    """An event that SIGINT and SIGTERM set, and that is all they do from now on.

    A second signal finds it set and changes nothing, so it cannot break the end.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """SIGINT and SIGTERM come when the block is through; Python handles them in its main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)


def wait_until(
    condition: Callable[[], bool],
    timeout_s: float,
    what: str,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Waits for ``condition``, calling ``check`` meanwhile.

    Raises:
        ProcessError: It did not come true in time; ``what`` says what was waited for.
    """
    end_s = time.monotonic() + timeout_s
    while not condition():
        check()
        if time.monotonic() > end_s:
            raise ProcessError(f"waited {timeout_s:g} s for {what}")
        time.sleep(_POLL_S)
