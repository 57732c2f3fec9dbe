"""A thousand frames with changing numbers of prompts leave no backend larger."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from repsam_ros.backends import BackendConfig, open_backend
from repsam_ros.backends._check import fixed_scene

WARM_FRAMES, FRAMES = 200, 1000
GROWTH_BYTES = 20e6


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torch", "onnxruntime", "openvino"])
def test_memory_does_not_grow(name: str, exported: Path) -> None:
    pytest.importorskip(name)
    model = "repsam_tiny" if name == "torch" else str(exported)
    backend = open_backend(BackendConfig(name, model, threads=1))
    scene, random = fixed_scene(backend.canvas_px), np.random.default_rng(0)
    warm = 0
    for index in range(FRAMES):
        if index == WARM_FRAMES:
            warm = resident_bytes()
        encoded = backend.encode(scene.color, scene.depth_m, scene.intrinsics)
        count = index % 4 + 1  # few, since decoding takes most of the time
        backend.decode(encoded, random.uniform(0, 240, (count, 2)).astype(np.float32))
    assert resident_bytes() - warm < GROWTH_BYTES
