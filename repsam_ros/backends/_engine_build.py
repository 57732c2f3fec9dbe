"""Builds TensorRT engines in a process of their own: progress, cancel, time-out."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from repsam_ros.backends._tensorrt_api import Shape
from repsam_ros.errors import BackendError

BUILD_TIMEOUT_S = 1800.0
_POLL_S = 0.1


class EngineError(BackendError):
    """TensorRT cannot make an engine, or makes one that computes something else."""


@dataclass(frozen=True)
class EngineRequest:
    """An engine to build.

    Attributes:
        onnx: The graph; external data lies beside it.
        module: ``tensorrt`` or ``tensorrt_rtx``.
        profiles: Smallest, usual and largest shape of each input of dynamic size.
        target: Compute capability, ``SM86``; None: the GPU of this machine.
    """

    onnx: Path
    module: str
    profiles: Mapping[str, tuple[Shape, Shape, Shape]] = field(default_factory=dict)
    target: str | None = None


@dataclass(frozen=True)
class BuildReport:
    """What a build said.

    Attributes:
        seconds: How long it took.
        version: Of TensorRT.
        warnings: Of the parser and the builder.
        activation_bytes: GPU memory for activations; None where TensorRT does not say.
    """

    seconds: float
    version: str
    warnings: tuple[str, ...]
    activation_bytes: int | None


class BuildWatch:
    """How far a build is, and a way to stop it; read and used from any thread."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._now = (0.0, "")

    @property
    def progress(self) -> tuple[float, str]:
        """Fraction that is done, and of what."""
        return self._now

    @property
    def cancelled(self) -> bool:
        """Whether someone does not want it any more."""
        return self._cancelled.is_set()

    def report(self, fraction: float, what: str) -> None:
        """Called by who builds."""
        self._now = (fraction, what)

    def cancel(self) -> None:
        """Stops the build; it ends with a BackendError."""
        self._cancelled.set()

    def check(self, what: str) -> None:
        """Raises BackendError once cancelled."""
        if self.cancelled:
            raise BackendError(f"building {what} was cancelled")


def build_engine(
    request: EngineRequest,
    out: Path,
    watch: BuildWatch | None = None,
    timeout_s: float = BUILD_TIMEOUT_S,
) -> BuildReport:
    """Builds an engine into the file ``out``; returns when it is done.

    Raises:
        EngineError: TensorRT cannot build it, takes too long, or its process died.
        BackendError: It was cancelled.
    """
    watch, what = watch or BuildWatch(), request.onnx.name
    fields = {
        "onnx": str(request.onnx.resolve()),
        "module": request.module,
        "profiles": dict(request.profiles),
        "target": request.target,
        "out": str(out.resolve()),
    }
    command = [sys.executable, "-m", "repsam_ros.backends._engine_worker", json.dumps(fields)]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True) as process,
    ):
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        reader = threading.Thread(target=_read_lines, args=(process.stdout, lines))
        reader.start()
        try:
            message = _follow(lines, what, watch, timeout_s)
            process.wait()  # it ends by itself after its last message
        finally:
            process.kill()
            reader.join()
        if message is None:
            errors.seek(0)
            last = (errors.read().strip().splitlines() or ["nothing said"])[-1]
            raise EngineError(
                f"the process that builds {what} ended with {process.returncode}: {last}"
            )
    if "error" in message:
        raise EngineError(f"{request.module}: {message['error']}")
    result: dict[str, Any] = message["result"]
    return BuildReport(**{**result, "warnings": tuple(result["warnings"])})


def _follow(
    lines: queue.SimpleQueue[str | None], what: str, watch: BuildWatch, timeout_s: float
) -> dict[str, Any] | None:
    """Passes progress on until the last message; None: the process ended without one."""
    end_s = time.monotonic() + timeout_s
    watch.report(0.0, what)
    while True:
        watch.check(what)
        if time.monotonic() > end_s:
            raise EngineError(f"building {what} took longer than {timeout_s:g} s")
        try:
            line = lines.get(timeout=_POLL_S)
        except queue.Empty:
            continue
        if line is None:
            return None
        message: dict[str, Any] = json.loads(line)
        if "fraction" not in message:
            return message
        watch.report(message["fraction"], what)


def _read_lines(stream: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)
