"""Run-time backends: one file each, all behind :class:`Backend`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


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
