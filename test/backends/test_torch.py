"""PyTorch as a backend: what it refuses, how it decodes, and what compiling changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from repsam_ros.backends import Backend, BackendConfig, open_backend
from repsam_ros.backends._check import check_backend, fixed_scene
from repsam_ros.backends.torch import TorchBackend
from repsam_ros.errors import BackendError, ConfigError
from repsam_ros.methods import Training, open_method
from repsam_ros.network.build import NetworkConfig, build_network
from repsam_ros.network.weights import ModelFile

MODEL = ModelFile("fresh", Path("fresh.safetensors"), "0" * 64)


@pytest.fixture(scope="module")
def backend() -> Backend:
    return open_backend(BackendConfig(threads=1))


def test_a_precision_that_it_has_not_is_refused() -> None:
    with pytest.raises(BackendError, match="not in fp16"):
        open_backend(BackendConfig(precision="fp16"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nonsense", "not a PyTorch device name"),
        ("cuda:x", "not a PyTorch device name"),
        (f"cuda:{torch.cuda.device_count()}", f"finds {torch.cuda.device_count()} CUDA devices"),
        ("meta", "cannot use it on this machine"),
        ("xla", "cannot use it on this machine"),
    ],
)
def test_a_device_that_is_not_there_is_refused_in_one_line(name: str, reason: str) -> None:
    with pytest.raises(BackendError, match=f"device '{name}': .*{reason}") as caught:
        open_backend(BackendConfig(device=name))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is such a device")
def test_apples_gpu_is_refused_elsewhere() -> None:
    with pytest.raises(BackendError, match="device 'mps': PyTorch cannot use it"):
        open_backend(BackendConfig(device="mps"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_asking_for_a_gpu_puts_nothing_onto_it() -> None:
    code = (
        "import torch\n"
        "from repsam_ros.backends.torch import find_device\n"
        "find_device('cuda')\n"
        "raise SystemExit(torch.cuda.is_initialized())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_folder_of_graphs_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a backend that runs graphs"):
        open_backend(BackendConfig(model=str(tmp_path)))


def test_a_network_with_an_extension_decodes_with_it() -> None:
    torch.manual_seed(0)
    network = build_network(NetworkConfig())
    scene = fixed_scene(network.spec.canvas_px)

    def masks() -> np.ndarray:
        backend = TorchBackend(network, MODEL, "fp32")
        encoded = backend.encode(scene.color, scene.depth_m, scene.intrinsics)
        return backend.decode(encoded, scene.points_px).mask_logits

    before = masks()
    open_method("hq_token").prepare(network, Training())
    assert np.array_equal(masks(), before)  # it starts at zero
    assert network.decoder_extension is not None
    with torch.no_grad():
        for parameter in network.decoder_extension.parameters():
            parameter.normal_(std=0.1)
    assert not np.allclose(masks(), before)


@pytest.mark.slow
def test_compiled_it_computes_the_same(backend: Backend) -> None:
    compiled = open_backend(BackendConfig(threads=1, compile=True))
    assert compiled.info().version.endswith("compiled")
    report = check_backend(compiled, backend)
    assert report.passed, str(report)
