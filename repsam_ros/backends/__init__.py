"""Run-time backends: one file each, all behind :class:`Backend`.

A backend is a module in this folder with ``build(config) -> Backend``; its file name is its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import BackendError, ConfigError
from repsam_ros.plugins import load_plugin, plugin_names

PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class BackendConfig:
    """What runs the network, and how.

    Attributes:
        name: A module of this folder.
        model: Name in ``models/manifest.yaml``, path of a weight file, or a folder that
            ``repsam export`` has written.
        device: ``cpu``, ``cuda`` ...
        precision: ``fp32``, ``bf16`` or ``fp16``; a backend may have some of them only.
        threads: CPU threads, 0 = the library's choice.
        compile: PyTorch compiles the network first, which takes minutes.
    """

    name: str = "torch"
    model: str = "repsam_tiny"
    device: str = "cpu"
    precision: str = "fp32"
    threads: int = 0
    compile: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise ConfigError(f"precision must be one of {known}, got {self.precision!r}")


@dataclass(frozen=True)
class BackendInfo:
    """What is really running.

    Attributes:
        name: Backend name, ``torch`` ...
        device: ``cpu`` or the CUDA device's name.
        model: Model name in ``models/manifest.yaml`` or path.
        model_sha256: Of the weight file.
        precision: ``fp32``, ``bf16`` ...
        version: Version of the run-time library.
    """

    name: str
    device: str
    model: str
    model_sha256: str
    precision: str
    version: str


@dataclass(frozen=True)
class Encoded:
    """One encoded image; ``state`` is the backend's own.

    Attributes:
        heatmap: (h, w) float32 in [0, 1], objectness of a prompt at each cell.
        state: Whatever the backend's ``decode`` needs.
    """

    heatmap: NDArray[np.float32]
    state: object


@dataclass(frozen=True)
class Decoded:
    """Masks of N prompts.

    Attributes:
        mask_logits: (N, h, w) float32 on the network's canvas, at a fixed fraction of its size.
        predicted_iou: (N,) float32 in [0, 1].
    """

    mask_logits: NDArray[np.float32]
    predicted_iou: NDArray[np.float32]


class Backend(Protocol):
    """Runs one network on one device. Not thread-safe."""

    @property
    def canvas_px(self) -> tuple[int, int]:
        """(height, width) of the image that the network sees."""

    def encode(
        self,
        color: NDArray[np.uint8],
        depth_m: NDArray[np.float32],
        intrinsics: NDArray[np.float32],
    ) -> Encoded:
        """Encodes a canvas: (h, w, 3) RGB, (h, w) metres with 0 = invalid, (fx, fy, cx, cy)."""

    def decode(self, encoded: Encoded, points_px: NDArray[np.float32]) -> Decoded:
        """Decodes all (N, 2) canvas points in one batch."""

    def info(self) -> BackendInfo:
        """What is really running."""

    def close(self) -> None:
        """Frees the network."""


def backend_names() -> tuple[str, ...]:
    """Names of the backends that exist."""
    return plugin_names(__name__)


def open_backend(config: BackendConfig) -> Backend:
    """Opens a backend by name.

    Raises:
        ConfigError: No backend of that name; the message lists what exists.
        BackendError: Its library or device is missing.
        CheckpointError: The weights are missing or broken.
    """
    try:
        module = load_plugin(__name__, "backend", config.name)
    except ImportError as error:
        raise BackendError(f"backend {config.name} needs a package: {error}") from error
    backend: Backend = module.build(config)
    return backend
