"""ONNX Runtime and OpenVINO on the same graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from repsam_ros.backends import Backend, BackendConfig, open_backend
from repsam_ros.backends._check import check_backend, fixed_scene
from repsam_ros.backends._prompt_batches import most_prompts
from repsam_ros.errors import BackendError, CheckpointError

NAMES = ("onnxruntime", "openvino")
MakeFolder = Callable[..., Path]


def opened(name: str, folder: Path, precision: str = "fp32") -> Backend:
    pytest.importorskip(name)
    return open_backend(BackendConfig(name, str(folder), precision=precision, threads=1))


@pytest.mark.parametrize("name", NAMES)
def test_says_what_runs(name: str, make_folder: MakeFolder) -> None:
    info = opened(name, make_folder(fp32=0)).info()
    assert (info.name, info.device, info.model, info.precision) == (name, "cpu", "small", "fp32")
    assert info.model_sha256 == "0" * 64 and info.version[0].isdecimal()


def test_openvino_computes_what_onnx_runtime_computes(make_folder: MakeFolder) -> None:
    folder = make_folder(fp32=0)
    report = check_backend(opened("openvino", folder), opened("onnxruntime", folder))
    assert report.relative_error < 1e-4 and report.mask_iou > 0.999


@pytest.mark.parametrize("name", NAMES)
def test_an_image_keeps_its_state_while_others_are_encoded(
    name: str, make_folder: MakeFolder
) -> None:
    backend = opened(name, make_folder(fp32=0))
    scene = fixed_scene(backend.canvas_px)
    first = backend.encode(scene.color, scene.depth_m, scene.intrinsics)
    expected = backend.decode(first, scene.points_px)
    heatmap = first.heatmap.copy()
    other = backend.encode(255 - scene.color, scene.depth_m, scene.intrinsics)
    again = backend.decode(first, scene.points_px)
    assert np.array_equal(first.heatmap, heatmap) and not np.array_equal(other.heatmap, heatmap)
    assert np.array_equal(again.mask_logits, expected.mask_logits)


@pytest.mark.parametrize("name", NAMES)
def test_more_prompts_than_are_decoded_at_once(name: str, make_folder: MakeFolder) -> None:
    backend = opened(name, make_folder(fp32=0))
    scene = fixed_scene(backend.canvas_px)
    encoded = backend.encode(scene.color, scene.depth_m, scene.intrinsics)
    points = np.random.default_rng(0).uniform(0, 31, (95, 2)).astype(np.float32)
    assert len(points) > 2 * most_prompts(backend.canvas_px)
    decoded = backend.decode(encoded, points)
    for index in (0, 39, 40, 94):
        alone = backend.decode(encoded, points[index : index + 1])
        assert np.allclose(decoded.mask_logits[index], alone.mask_logits[0], atol=1e-5)
        assert np.allclose(decoded.predicted_iou[index], alone.predicted_iou[0], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_any_number_of_prompts(name: str, count: int, make_folder: MakeFolder) -> None:
    backend = opened(name, make_folder(fp32=0))
    scene = fixed_scene(backend.canvas_px)
    encoded = backend.encode(scene.color, scene.depth_m, scene.intrinsics)
    every = backend.decode(encoded, scene.points_px)
    some = backend.decode(encoded, scene.points_px[:count])
    assert some.mask_logits.shape == (count, 16, 20) and some.predicted_iou.shape == (count,)
    assert np.allclose(some.mask_logits, every.mask_logits[:count], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_precision_that_is_not_there_is_refused(name: str, make_folder: MakeFolder) -> None:
    folder = make_folder(fp32=0)
    with pytest.raises(BackendError, match="fp16"):
        opened(name, folder, "fp16")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("device", ["tpu", "cuda:x"])
def test_a_device_that_is_not_there_is_refused(
    name: str, device: str, make_folder: MakeFolder
) -> None:
    pytest.importorskip(name)
    with pytest.raises(BackendError, match=device):
        open_backend(BackendConfig(name, str(make_folder(fp32=0)), device))


def test_onnx_runtime_without_cuda_says_so(make_folder: MakeFolder) -> None:
    ort = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this ONNX Runtime is built with CUDA")
    with pytest.raises(BackendError, match="no CUDAExecutionProvider"):
        open_backend(BackendConfig("onnxruntime", str(make_folder(fp32=0)), "cuda"))


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_with_other_bytes_is_refused(name: str, make_folder: MakeFolder) -> None:
    folder = make_folder(fp32=0)
    with (folder / "decoder.fp32.onnx").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(CheckpointError, match=r"decoder\.fp32\.onnx: sha256"):
        opened(name, folder)


@pytest.mark.parametrize("name", NAMES)
def test_inputs_that_do_not_fit_are_an_error_of_the_backend(
    name: str, make_folder: MakeFolder
) -> None:
    backend = opened(name, make_folder(fp32=0))
    scene = fixed_scene((16, 16))
    with pytest.raises(BackendError, match="failed"):
        backend.encode(scene.color, scene.depth_m, scene.intrinsics)
