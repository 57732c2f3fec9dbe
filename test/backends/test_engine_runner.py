"""Engines on a device: by contract over host memory, and on a GPU where there is one."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from repsam_ros.backends._cuda_driver import CudaDevice, open_device
from repsam_ros.backends._engine_runner import EngineRunner
from repsam_ros.errors import BackendError

onnxruntime = pytest.importorskip("onnxruntime")
STATE = ("embedding", "skip")


@pytest.fixture
def device(host):
    device = CudaDevice(0, host.driver)
    yield device
    device.close()
    assert not host.driver.memory and not host.driver.graphs, "everything is freed"


def image(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "color": random.integers(0, 255, (1, 32, 40, 3), np.uint8),
        "depth_m": random.uniform(0.5, 1.5, (1, 32, 40)).astype(np.float32),
        "intrinsics": np.float32([[36, 36, 20, 16]]),
    }


def points(count: int) -> np.ndarray:
    return np.random.default_rng(count).uniform(0, 31, (count, 2)).astype(np.float32)


def expected(graphs: Path, inputs: dict[str, np.ndarray], prompts: np.ndarray) -> list[np.ndarray]:
    """Heatmap, masks and scores of ONNX Runtime."""
    encoder = onnxruntime.InferenceSession(graphs / "encoder.fp32.onnx")
    decoder = onnxruntime.InferenceSession(graphs / "decoder.fp32.onnx")
    heatmap, *state = encoder.run(["heatmap", *STATE], inputs)
    named = dict(zip(STATE, state, strict=True))
    return [heatmap, *decoder.run(None, {**named, "points_px": prompts})]


def load_pair(host, device, graphs) -> tuple[EngineRunner, EngineRunner]:
    first, second = ((graphs / f"{name}.fp32.onnx").read_bytes() for name in ("encoder", "decoder"))
    encoder = EngineRunner(host, device, first, kept=STATE)
    given = {name: encoder.tensors[name] for name in STATE}
    return encoder, EngineRunner(host, device, second, given=given)


@pytest.mark.parametrize("recorded", [False, True])
def test_two_engines_compute_what_their_graphs_do(host, device, graphs, recorded):
    encoder, decoder = load_pair(host, device, graphs)
    if recorded:
        encoder.record()
    for seed, count in ((1, 1), (2, 40), (3, 7)):
        heatmap = encoder.run(image(seed))["heatmap"]
        masks = decoder.run({"points_px": points(count)})
        wanted = expected(graphs, image(seed), points(count))
        for got, want in zip((heatmap, *masks.values()), wanted, strict=True):
            np.testing.assert_array_equal(got, want)
    assert host.driver.launches == (3 if recorded else 0)
    encoder.close()
    decoder.close()


def test_the_state_stays_on_the_device_and_nothing_is_allocated_between_runs(host, device, graphs):
    encoder, decoder = load_pair(host, device, graphs)
    before, host.driver.copied_back_bytes = set(host.driver.memory), 0
    encoder.run(image(1))
    assert host.driver.copied_back_bytes == 4 * 8 * 10  # the heatmap
    decoder.run({"points_px": points(3)})
    assert host.driver.copied_back_bytes == 4 * (8 * 10 + 3 * 16 * 20 + 3)
    assert set(host.driver.memory) == before
    assert encoder.tensors["skip"] is decoder.tensors["skip"]


def test_results_are_not_overwritten_by_the_next_run(host, device, graphs):
    encoder, _ = load_pair(host, device, graphs)
    first = encoder.run(image(1))["heatmap"]
    kept = first.copy()
    encoder.run(image(2))
    np.testing.assert_array_equal(first, kept)


def test_a_graph_that_cannot_be_captured_is_said_and_done_without(
    host, device, graphs, monkeypatch, caplog
):
    monkeypatch.setattr(host.driver, "capture_fails", True)
    encoder, _ = load_pair(host, device, graphs)
    encoder.record()
    assert "runs without a CUDA graph: cuStreamEndCapture: CUDA error 901" in caplog.text
    wanted = expected(graphs, image(4), points(1))[0]
    np.testing.assert_array_equal(encoder.run(image(4))["heatmap"], wanted)


def test_sizes_beyond_the_profile_are_refused(host, device, graphs, caplog):
    caplog.set_level(logging.CRITICAL)
    _, decoder = load_pair(host, device, graphs)
    with pytest.raises(BackendError, match=r"points_px cannot have shape \(41, 2\): .*not allowed"):
        decoder.run({"points_px": points(41)})


def test_an_engine_that_cannot_be_loaded_says_why(host, device, caplog):
    with pytest.raises(BackendError, match="cannot load the engine: the plan's magic tag"):
        EngineRunner(host, device, b"not an engine")
    assert "magic tag" in caplog.text


def test_engines_that_do_not_fit_each_other_are_refused(host, device, graphs):
    encoder, _ = load_pair(host, device, graphs)
    given = {"embedding": encoder.tensors["skip"], "skip": encoder.tensors["skip"]}
    decoder = (graphs / "decoder.fp32.onnx").read_bytes()
    with pytest.raises(BackendError, match=r"embedding is FLOAT \(1, 3, 16, 20\) where it comes"):
        EngineRunner(host, device, decoder, given=given)


def test_what_the_driver_says_of_the_device(device):
    attributes = device.attributes()
    assert (attributes.name, attributes.target, attributes.driver) == ("Host", "SM89", 12060)
    assert attributes.plain()["capability"] == [8, 9]


def test_a_device_that_is_not_there_is_named(host):
    with pytest.raises(BackendError, match="no CUDA device 1: the driver sees 1"):
        CudaDevice(1, host.driver)
    with pytest.raises(BackendError, match="device 'cpu': TensorRT runs on cuda"):
        open_device("cpu")


def has_driver() -> bool:
    try:
        open_device("cuda").close()
    except BackendError:
        return False
    return True


@pytest.mark.skipif(has_driver(), reason="this machine has a GPU")
def test_an_absent_driver_is_one_clear_error():
    with pytest.raises(BackendError, match="no NVIDIA driver: libcuda.so.1"):
        open_device("cuda:0")


@pytest.fixture(scope="module")
def gpu():
    if not has_driver():
        pytest.skip("needs a CUDA GPU and its driver")
    device = open_device("cuda")
    yield device
    device.close()


@pytest.mark.gpu
def test_memory_goes_to_the_gpu_and_back(gpu):
    array = gpu.pinned((5, 7), np.dtype("float32"))
    array[...] = np.arange(35).reshape(5, 7)
    address = gpu.allocate(array.nbytes)
    back = gpu.pinned((5, 7), np.dtype("float32"))
    gpu.upload(address, array)
    gpu.download(back, address)
    gpu.synchronise()
    np.testing.assert_array_equal(back, array)
    assert gpu.attributes().memory_bytes > 1 << 30


@pytest.mark.gpu
def test_copies_can_be_captured_as_a_graph(gpu):
    array, back = (gpu.pinned((64,), np.dtype("int32")) for _ in range(2))
    address = gpu.allocate(array.nbytes)
    back[...] = 0

    def copy_there_and_back() -> None:
        gpu.upload(address, array)
        gpu.download(back, address)

    launch = gpu.capture(copy_there_and_back)
    for value in (3, 4):
        array[...] = value
        launch()
        gpu.synchronise()
        assert (back == value).all()
