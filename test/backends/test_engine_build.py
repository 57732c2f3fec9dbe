"""Engines are built in another process that can be watched, stopped and survived."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from repsam_ros.backends._engine_build import BuildWatch, EngineRequest, build_engine
from repsam_ros.backends._engine_worker import _Phases
from repsam_ros.errors import BackendError

pytest.importorskip("tensorrt_rtx")
PROFILES = {"points_px": ((1, 2), (8, 2), (40, 2))}


def request_for(graphs: Path, name: str, target: str | None = "SM89") -> EngineRequest:
    profiles = PROFILES if name == "decoder" else {}
    return EngineRequest(graphs / f"{name}.fp32.onnx", "tensorrt_rtx", profiles, target)


class Fractions(BuildWatch):
    """Keeps every report."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def report(self, fraction: float, what: str) -> None:
        super().report(fraction, what)
        self.seen.append(fraction)


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_a_graph_compiles_without_warnings_and_says_how_far_it_is(graphs, tmp_path, name):
    watch = Fractions()
    report = build_engine(request_for(graphs, name), tmp_path / "out.engine", watch)
    assert report.warnings == () and report.seconds > 0
    assert report.activation_bytes is not None and report.activation_bytes > 0
    assert (tmp_path / "out.engine").stat().st_size > 1000
    assert watch.seen == sorted(watch.seen) and len(set(watch.seen)) > 2
    assert watch.progress == (watch.seen[-1], f"{name}.fp32.onnx")


def test_the_same_graph_gives_the_same_bytes(graphs, tmp_path):
    for out in ("first", "second"):
        build_engine(request_for(graphs, "encoder"), tmp_path / out)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_reasons_are_passed_on(graphs, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a graph")
    out = tmp_path / "out.engine"
    with pytest.raises(BackendError, match="broken.onnx cannot be parsed: .*parse"):
        build_engine(EngineRequest(broken, "tensorrt_rtx"), out)
    with pytest.raises(BackendError, match="cannot build for SM90; it can for SM75"):
        build_engine(request_for(graphs, "encoder", "SM90"), out)
    without = EngineRequest(graphs / "decoder.fp32.onnx", "tensorrt_rtx", {}, "SM89")
    with pytest.raises(BackendError, match=r"dynamic size are \['points_px'\]"):
        build_engine(without, out)
    assert not out.exists()


def test_a_build_can_be_cancelled(graphs, tmp_path):
    watch = BuildWatch()
    watch.cancel()
    with pytest.raises(BackendError, match=r"encoder.fp32.onnx was cancelled"):
        build_engine(request_for(graphs, "encoder"), tmp_path / "out.engine", watch)
    assert not (tmp_path / "out.engine").exists()


def test_a_build_that_takes_too_long_is_stopped(graphs, tmp_path):
    with pytest.raises(BackendError, match="took longer than 0.01 s"):
        build_engine(request_for(graphs, "encoder"), tmp_path / "out.engine", timeout_s=0.01)


def children() -> list[int]:
    """Building processes of this one."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True
    ).stdout.splitlines()
    return [int(line.split()[0]) for line in listed if "_engine_worker" in line]


def test_a_build_whose_process_is_killed_is_an_error_here(graphs, tmp_path):
    problems: list[Exception] = []

    def build() -> None:
        try:
            build_engine(request_for(graphs, "encoder"), tmp_path / "out.engine")
        except BackendError as error:
            problems.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    while not (found := children()) and thread.is_alive():
        pass
    os.kill(found[0], signal.SIGKILL)
    thread.join()
    assert "ended with -9" in str(problems[0])


def test_a_building_process_ends_with_the_one_that_started_it(graphs, tmp_path):
    request = {"module": "tensorrt_rtx", "profiles": {}, "target": "SM89"}
    request |= {"onnx": str(graphs / "encoder.fp32.onnx"), "out": str(tmp_path / "out.engine")}
    command = [sys.executable, "-m", "repsam_ros.backends._engine_worker", json.dumps(request)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait() == 1
    assert not (tmp_path / "out.engine").exists()


def test_a_fault_in_the_building_process_is_an_error_here(graphs, tmp_path):
    request = EngineRequest(graphs / "encoder.fp32.onnx", "colorsys", {}, "SM89")
    with pytest.raises(BackendError, match="ended with 1: AttributeError: .*colorsys"):
        build_engine(request, tmp_path / "out.engine")


def test_nested_phases_are_one_fraction():
    phases = _Phases()
    phases.start("build", None, 4)
    phases.step("build", 0)
    assert phases.fraction() == 0.25
    phases.start("optimise", "build", 2)
    phases.step("optimise", 0)
    assert phases.fraction() == 0.375
    phases.finish("optimise")
    assert phases.fraction() == 0.375, "it never goes back"
    phases.step("build", 1)
    phases.step("unknown", 1)
    assert phases.fraction() == 0.5
