"""One backend serves until the other is ready, with real ones on the CPU."""

from __future__ import annotations

import logging
import threading

import numpy as np
import pytest

from repsam_ros.backends import Backend, BackendConfig, open_backend
from repsam_ros.backends._check import fixed_scene
from repsam_ros.backends._engine_build import BuildWatch
from repsam_ros.backends._handover import HandoverBackend
from repsam_ros.errors import BackendError

pytest.importorskip("torch")


def open_one(model: str = "repsam_tiny", precision: str = "fp32") -> Backend:
    return open_backend(BackendConfig(model=model, precision=precision))


class Gate:
    """Opens a backend when a test says so."""

    def __init__(self, precision: str = "bf16") -> None:
        self.go, self.watch, self.precision = threading.Event(), BuildWatch(), precision
        self.opened: list[Backend] = []

    def __call__(self, watch: BuildWatch) -> Backend:
        self.watch = watch
        watch.report(0.25, "encoder.fp16.onnx")
        while not self.go.wait(0.01):
            watch.check("it")
        self.opened.append(open_one(precision=self.precision))
        return self.opened[0]


def encode(backend: Backend):
    scene = fixed_scene(backend.canvas_px)
    return backend.encode(scene.color, scene.depth_m, scene.intrinsics), scene.points_px


def test_the_second_takes_over_between_images(caplog):
    caplog.set_level(logging.INFO)
    gate = Gate()
    backend = HandoverBackend(open_one(), gate)
    encoded, points = encode(backend)
    assert not backend.wait(0) and backend.progress == (0.25, "encoder.fp16.onnx")
    gate.go.set()
    assert backend.wait() and backend.progress is None and backend.failure is None
    # The image at hand is finished by the one that began it.
    assert backend.info().precision == "fp32"
    first = backend.decode(encoded, points)
    later, points = encode(backend)
    assert backend.info().precision == "bf16"
    second = backend.decode(later, points)
    assert np.abs(first.mask_logits - second.mask_logits).max() > 0
    alone = open_one(precision="bf16")
    wanted = alone.decode(encode(alone)[0], points)
    np.testing.assert_array_equal(second.mask_logits, wanted.mask_logits)
    assert "torch takes over from torch" in caplog.text
    with pytest.raises(BackendError, match="before another backend took over"):
        backend.decode(encoded, points)
    backend.close()


def fail(watch: BuildWatch) -> Backend:
    raise BackendError("fp16: relative error 0.9, mask IoU 0.1")


def break_down(watch: BuildWatch) -> Backend:
    raise ZeroDivisionError("a fault")


@pytest.mark.parametrize(
    ("open_second", "reason"), [(fail, "mask IoU 0.1"), (break_down, "a fault")]
)
def test_the_first_goes_on_when_the_second_fails(caplog, open_second, reason):
    backend = HandoverBackend(open_one(), open_second)
    assert backend.wait() and reason in str(backend.failure)
    encoded, points = encode(backend)
    assert len(backend.decode(encoded, points).mask_logits) == len(points)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR and "torch goes on serving" in record.message
    assert bool(record.exc_info) == (open_second is break_down), "faults show where they happened"
    backend.close()


def test_closing_stops_a_build_that_still_runs(caplog):
    gate = Gate()
    backend = HandoverBackend(open_one(), gate)
    backend.close()
    assert gate.watch.cancelled and not gate.opened
    assert not caplog.records, "this is no failure"
