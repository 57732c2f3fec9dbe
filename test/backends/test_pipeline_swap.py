"""A pipeline that serves while its TensorRT engines are built."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np
import pytest

from repsam_ros.backends._handover import HandoverBackend
from repsam_ros.perception.pipeline import Pipeline, open_pipeline
from repsam_ros.structures import Intrinsics, RgbdFrame

pytest.importorskip("onnxruntime")


def frame() -> RgbdFrame:
    rng = np.random.default_rng(0)
    color = rng.integers(0, 255, (32, 40, 3)).astype(np.uint8)
    camera = Intrinsics(40, 40, 20, 16, 40, 32)
    return RgbdFrame(color, np.ones((32, 40), np.float32), camera, 1)


def opened(folder: Path, swap: bool = True) -> Pipeline:
    return open_pipeline(str(folder), "tensorrt", "cuda", threads=1, swap=swap)


def decided(pipeline: Pipeline) -> str:
    """What became of the change-over."""
    assert isinstance(pipeline.backend, HandoverBackend)
    assert pipeline.backend.wait(120)
    return pipeline.swap_state


def test_it_serves_at_once_and_changes_over(host, make_folder, caplog):
    pipeline = opened(make_folder(fp32=0))
    assert "the CPU serves" in caplog.text, "this ONNX Runtime has no CUDA"
    assert pipeline.info.name == "onnxruntime"
    before = pipeline.segment(frame())
    assert decided(pipeline) == ""
    np.testing.assert_array_equal(pipeline.segment(frame()).labels, before.labels)
    assert pipeline.info.name == "tensorrt" and pipeline.swap_state == ""
    pipeline.close()


def test_without_a_change_over_the_engine_is_waited_for(host, make_folder):
    pipeline = opened(make_folder(fp32=0), swap=False)
    assert pipeline.info.name == "tensorrt"
    pipeline.close()


def test_a_build_shows_its_progress(host, make_folder):
    pipeline = opened(make_folder(fp32=0))
    seen = set()
    while pipeline.backend.progress is not None:
        seen.add(pipeline.swap_state)
        time.sleep(0.01)
    assert any(state.startswith("building encoder.fp32.onnx, ") for state in seen), seen
    pipeline.close()


def test_without_a_gpu_it_goes_on_as_it_is_and_says_why(make_folder, caplog):
    caplog.set_level(logging.CRITICAL)
    pipeline = opened(make_folder(fp32=0))
    state = decided(pipeline)
    if pipeline.backend.failure is None:
        pytest.skip("this machine has a GPU with TensorRT")
    assert state.startswith("failed: ")
    assert pipeline.segment(frame()).labels.shape == (32, 40)
    assert pipeline.info.name == "onnxruntime"
    pipeline.close()
