"""The process that builds one engine: progress and result as lines on stdout.

TensorRT can take minutes, use all memory or die of a signal; none of that may reach the process
that runs the robot. When that process ends, stdin closes, and so does this one.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO, cast

from repsam_ros.backends._tensorrt_api import (
    Builder,
    BuilderConfig,
    NetworkDefinition,
    OnnxParser,
    TensorRt,
    make_logger,
    set_target,
    strongly_typed,
)
from repsam_ros.errors import BackendError

_ACTIVATION = re.compile(r"Total Activation Memory: (\d+) bytes")


class _Heard:
    """What TensorRT said: warnings, errors, and the memory that the engine's activations need."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self.activation_bytes: int | None = None

    def __call__(self, severity: str, message: str) -> None:
        if severity == "WARNING":
            self.warnings.append(message)
        elif severity.endswith("ERROR"):
            self.errors.append(message)
        elif match := _ACTIVATION.search(message):
            self.activation_bytes = max(self.activation_bytes or 0, int(match[1]))


class _Phases:
    """TensorRT's nested phases as one fraction that only grows."""

    def __init__(self) -> None:
        self._open: dict[str, list[Any]] = {}
        self._fraction = 0.0

    def start(self, name: str, parent: str | None, steps: int) -> None:
        self._open[name] = [parent, max(steps, 1), 0]

    def step(self, name: str, step: int) -> None:
        if name in self._open:
            self._open[name][2] = step + 1

    def finish(self, name: str) -> None:
        self._open.pop(name, None)

    def fraction(self) -> float:
        """The outermost phase's done steps, and of its running step what is done inside."""
        inside: dict[str | None, float] = {}
        for name, (parent, steps, done) in reversed(self._open.items()):
            inside[parent] = min((done + inside.get(name, 0.0)) / steps, 1.0)
        self._fraction = max(self._fraction, inside.get(None, 0.0))
        return self._fraction


def _make_monitor(trt: TensorRt, output: TextIO) -> object:
    """TensorRT's progress monitor that writes a line for each percent."""
    phases = _Phases()
    shown = -1

    class Monitor(trt.IProgressMonitor):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            phases.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            nonlocal shown
            phases.step(phase_name, step)
            fraction = phases.fraction()
            if (percent := int(100 * fraction)) > shown:
                shown = percent
                _write(output, {"fraction": fraction})
            return True

        def phase_finish(self, phase_name: str) -> None:
            phases.finish(phase_name)

    return Monitor()


def _write(output: TextIO, message: dict[str, Any]) -> None:
    output.write(json.dumps(message) + "\n")
    output.flush()


def _parse(parser: OnnxParser, path: str, heard: _Heard) -> None:
    if not parser.parse_from_file(path):
        errors = [str(parser.get_error(index)) for index in range(parser.num_errors)]
        first = (errors or heard.errors or ["no reason given"])[0]
        raise BackendError(f"{Path(path).name} cannot be parsed: {first}")


def _configure(
    trt: TensorRt, builder: Builder, network: NetworkDefinition, request: dict[str, Any]
) -> BuilderConfig:
    config = builder.create_builder_config()
    # A graph in fp32 is run for its exactness; TF32 rounds its products to 10 bits.
    config.clear_flag(trt.BuilderFlag.TF32)
    if request["target"] is not None:
        set_target(trt, config, request["target"])
    tensors = [network.get_input(index) for index in range(network.num_inputs)]
    dynamic = {tensor.name for tensor in tensors if -1 in tuple(tensor.shape)}
    profiles: dict[str, Any] = request["profiles"]
    if dynamic != profiles.keys():
        raise BackendError(
            f"profiles are for {sorted(profiles)}, inputs of dynamic size are {sorted(dynamic)}"
        )
    if profiles:
        profile = builder.create_optimization_profile()
        for name, (smallest, usual, largest) in profiles.items():
            profile.set_shape(name, tuple(smallest), tuple(usual), tuple(largest))
        if config.add_optimization_profile(profile) < 0:
            raise BackendError(f"contradicting profiles: {profiles}")
    return config


def _build(request: dict[str, Any], output: TextIO) -> dict[str, Any]:
    """Builds and writes the engine; what is said of it."""
    trt = cast(TensorRt, importlib.import_module(request["module"]))
    heard = _Heard()
    logger = make_logger(trt, heard)
    start_s = time.monotonic()
    builder = trt.Builder(logger)
    network = builder.create_network(strongly_typed(trt))
    _parse(trt.OnnxParser(network, logger), request["onnx"], heard)
    config = _configure(trt, builder, network, request)
    monitor = _make_monitor(trt, output)
    config.progress_monitor = monitor
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        first = (heard.errors or ["no reason given"])[0]
        raise BackendError(f"{Path(request['onnx']).name} cannot be compiled: {first}")
    Path(request["out"]).write_bytes(engine)
    return {
        "seconds": round(time.monotonic() - start_s, 3),
        "version": trt.__version__,
        "warnings": heard.warnings,
        "activation_bytes": heard.activation_bytes,
    }


def _end_with_parent() -> None:
    # Not sys.stdin: a thread that waits in it breaks the interpreter's end.
    while os.read(0, 1):
        pass
    os._exit(1)


def main() -> None:
    """Builds what the only argument, JSON, asks for."""
    # Whatever libraries print must not mix with the messages.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    os.nice(10)  # the robot goes on meanwhile
    request = json.loads(sys.argv[1])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _write(output, {"result": _build(request, output)})
    except (BackendError, OSError) as error:
        _write(output, {"error": str(error)})


if __name__ == "__main__":
    main()
