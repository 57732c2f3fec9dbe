"""PyTorch as a backend: what it refuses, how it decodes, and what compiling changes."""

from __future__ import annotations

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
