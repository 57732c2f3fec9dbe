"""A thousand frames with changing numbers of prompts leave no backend larger."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from repsam_ros.backends import BackendConfig, open_backend
from repsam_ros.backends._check import fixed_scene

FRAMES, WINDOW = 1000, 200
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
    sizes = []
    for index in range(FRAMES):
        encoded = backend.encode(scene.color, scene.depth_m, scene.intrinsics)
        count = index % 4 + 1  # few, since decoding takes most of the time
        backend.decode(encoded, random.uniform(0, 240, (count, 2)).astype(np.float32))
        sizes.append(resident_bytes())
    # Allocators give memory back and take it again: medians, after the first frames.
    early, late = sizes[WINDOW : 2 * WINDOW], sizes[-WINDOW:]
    assert np.median(late) - np.median(early) < GROWTH_BYTES
