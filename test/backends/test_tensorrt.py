"""The TensorRT backend: by contract over host memory, and on a GPU where there is one."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from repsam_ros.backends import Backend, BackendConfig, open_backend
from repsam_ros.backends._check import check_backend, fixed_scene
from repsam_ros.backends._cuda_driver import open_device
from repsam_ros.backends._engine_build import EngineRequest
from repsam_ros.backends._engine_cache import built_for
from repsam_ros.backends._graph_folder import GraphFolder
from repsam_ros.backends._tensorrt_api import load_tensorrt, target_names
from repsam_ros.backends.tensorrt import prompt_profiles, serve_while_building
from repsam_ros.errors import BackendError
from repsam_ros.paths import file_sha256

pytest.importorskip("onnxruntime")


def on_gpu(folder: Path, precision: str = "fp32") -> BackendConfig:
    return BackendConfig("tensorrt", str(folder), "cuda", precision, threads=1)


def on_cpu(folder: Path, precision: str = "fp32") -> BackendConfig:
    return BackendConfig("onnxruntime", str(folder), "cpu", precision, threads=1)


def outputs(backend: Backend, prompts: int) -> list[np.ndarray]:
    scene = fixed_scene(backend.canvas_px)
    encoded = backend.encode(scene.color, scene.depth_m, scene.intrinsics)
    points = np.random.default_rng(prompts).uniform(0, 31, (prompts, 2)).astype(np.float32)
    decoded = backend.decode(encoded, points)
    return [encoded.heatmap, decoded.mask_logits, decoded.predicted_iou]


def test_it_computes_what_onnx_runtime_does(host, make_folder, caplog):
    caplog.set_level(logging.INFO)
    folder = make_folder(fp32=0)
    backend, reference = open_backend(on_gpu(folder)), open_backend(on_cpu(folder))
    for prompts in (1, 40, 95):  # the last in three batches
        for got, wanted in zip(outputs(backend, prompts), outputs(reference, prompts), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert outputs(backend, 0)[1].shape == (0, 16, 20)
    assert host.driver.launches > 0, "the encoder is a CUDA graph"
    info = backend.info()
    assert (info.device, info.version, info.model) == ("Host", "tensorrt 10.3.0", "small")
    assert "TensorRT in fp32 against onnxruntime: relative error" in caplog.text
    backend.close()
    assert not host.driver.memory and not host.driver.graphs


def test_a_second_start_builds_and_checks_nothing(host, make_folder, caplog):
    folder = make_folder(fp32=0)
    open_backend(on_gpu(folder)).close()
    caplog.set_level(logging.INFO)
    caplog.clear()
    open_backend(on_gpu(folder)).close()
    assert "building" not in caplog.text and "against" not in caplog.text


def test_an_image_whose_state_is_gone_is_refused(host, make_folder):
    backend = open_backend(on_gpu(make_folder(fp32=0)))
    scene = fixed_scene(backend.canvas_px)
    first = backend.encode(scene.color, scene.depth_m, scene.intrinsics)
    second = backend.encode(scene.color, scene.depth_m, scene.intrinsics)
    with pytest.raises(BackendError, match="state is gone"):
        backend.decode(first, scene.points_px)
    assert len(backend.decode(second, scene.points_px).mask_logits) == len(scene.points_px)
    backend.close()


def test_half_precision_that_computes_something_else_falls_back_aloud(host, make_folder, caplog):
    backend = open_backend(on_gpu(make_folder(fp16=1, fp32=0), "fp16"))
    assert backend.info().precision == "fp32"
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "not used in fp16: the engines fail their check: relative error" in record.message
    backend.close()


def add_engines(folder: Path, host, seed_folder: Path) -> list[Path]:
    """Engines built ahead for the host's target; their content is that of another folder."""
    entries, paths = [], []
    for graph in ("encoder", "decoder"):
        path = folder / f"{graph}.fp32.sm89.engine"
        shutil.copy(seed_folder / f"{graph}.fp32.onnx", path)
        onnx = folder / f"{graph}.fp32.onnx"
        request = EngineRequest(
            onnx, "tensorrt", prompt_profiles(graph, GraphFolder(folder).canvas_px), "SM89"
        )
        wanted = json.loads(json.dumps(built_for(request, host.__version__, {})))
        entries.append({"file": path.name, "sha256": file_sha256(path), "built_for": wanted})
        paths.append(path)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "engines": entries}))
    return paths


def test_engines_built_ahead_are_used_and_checked(host, make_folder, graphs, caplog):
    caplog.set_level(logging.INFO)
    folder = make_folder(fp32=0)
    add_engines(folder, host, graphs)
    open_backend(on_gpu(folder)).close()
    assert "building" not in caplog.text and "against onnxruntime" in caplog.text


def test_no_engine_that_passes_is_one_error_with_all_reasons(host, make_folder, graphs, caplog):
    caplog.set_level(logging.CRITICAL)
    folder = make_folder(fp32=5)
    add_engines(folder, host, graphs)  # of the network with seed 0
    with pytest.raises(BackendError, match=r"cannot be used: fp32: .*fail their check: .*IoU"):
        open_backend(on_gpu(folder))
    assert not host.driver.memory, "what was tried is freed"


def test_spoiled_engines_built_ahead_are_said_and_built_anew(host, make_folder, graphs, caplog):
    folder = make_folder(fp32=0)
    encoder, _ = add_engines(folder, host, graphs)
    encoder.write_bytes(encoder.read_bytes()[:100])
    open_backend(on_gpu(folder)).close()
    assert f"{encoder} is not used: its bytes" in caplog.text
    assert len(list((folder.parent / "cache/repsam_ros/engines").glob("*.engine"))) == 1


def test_a_cache_that_cannot_be_written_is_named(host, make_folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    with pytest.raises(BackendError, match="/proc/nowhere/repsam_ros/engines cannot be written"):
        open_backend(on_gpu(make_folder(fp32=0)))


def test_what_cannot_be_had_is_named(host, make_folder):
    folder = make_folder(fp32=0)
    with pytest.raises(BackendError, match="no graphs in bf16, it has fp32"):
        open_backend(on_gpu(folder, "bf16"))
    with pytest.raises(BackendError, match="device 'cpu': TensorRT runs on cuda"):
        open_backend(BackendConfig("tensorrt", str(folder)))


def test_onnx_runtime_serves_until_tensorrt_is_ready(host, make_folder):
    folder = make_folder(fp32=0)
    backend = serve_while_building(on_gpu(folder), on_cpu(folder))
    before = outputs(backend, 3)
    assert backend.wait(), backend.progress
    after = outputs(backend, 3)
    assert backend.failure is None and backend.info().name == "tensorrt"
    for got, wanted in zip(after, before, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)
    backend.close()


def gpu_problem() -> str | None:
    """Why this machine runs no engine; None where it does."""
    try:
        device = open_device("cuda")
    except BackendError as error:
        return str(error)
    target = device.attributes().target
    device.close()
    trt = load_tensorrt()
    known = target_names(trt)
    return None if not known or target in known else f"no {trt.__name__} for {target}"


def test_without_a_driver_there_is_one_clear_error(make_folder):
    pytest.importorskip("tensorrt_rtx")
    if "libcuda" not in (gpu_problem() or ""):
        pytest.skip("this machine has a driver")
    with pytest.raises(BackendError, match="no NVIDIA driver: libcuda.so.1"):
        open_backend(on_gpu(make_folder(fp32=0)))


@pytest.mark.gpu
def test_engines_compute_what_their_graphs_do_on_the_gpu(make_folder, tmp_path, monkeypatch):
    if problem := gpu_problem():
        pytest.skip(f"needs a GPU that TensorRT runs on: {problem}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = make_folder(fp32=0)
    backend, reference = open_backend(on_gpu(folder)), open_backend(on_cpu(folder))
    assert check_backend(backend, reference).passed
    backend.close()
