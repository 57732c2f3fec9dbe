"""How a frame's time is shared by the stages of the pipeline."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from repsam_ros.backends import Backend, BackendInfo, Decoded, Encoded
from repsam_ros.perception.clouds import build_cloud
from repsam_ros.perception.pipeline import Pipeline, PipelineSettings
from repsam_ros.structures import RgbdFrame

STAGES = ("preparation", "encoder", "prompts", "decoder", "masks", "clouds")
NETWORK = ("encoder", "decoder")
FRAME = "frame"
# Up to the label map, which is as far as a mask generator goes.
SEGMENTATION = "segmentation"


# What the pipeline does after each call of the network.
_AFTER = {"encoder": "prompts", "decoder": "masks"}


class _NotingBackend:
    """A backend that notes each call: stage, when the pipeline calls and when it is done."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.calls: list[tuple[str, float, float]] = []

    @property
    def canvas_px(self) -> tuple[int, int]:
        return self._backend.canvas_px

    def encode(
        self,
        color: NDArray[np.uint8],
        depth_m: NDArray[np.float32],
        intrinsics: NDArray[np.float32],
    ) -> Encoded:
        start_s = time.perf_counter()
        encoded = self._backend.encode(color, depth_m, intrinsics)
        self.calls.append(("encoder", start_s, time.perf_counter()))
        return encoded

    def decode(self, encoded: Encoded, points_px: NDArray[np.float32]) -> Decoded:
        start_s = time.perf_counter()
        decoded = self._backend.decode(encoded, points_px)
        self.calls.append(("decoder", start_s, time.perf_counter()))
        return decoded

    def info(self) -> BackendInfo:
        return self._backend.info()

    def close(self) -> None:
        self._backend.close()


class TimedPipeline:
    """The pipeline on a backend; what it takes for a frame comes out by stage."""

    def __init__(self, backend: Backend, settings: PipelineSettings) -> None:
        self._noting = _NotingBackend(backend)
        self._pipeline = Pipeline(self._noting, settings)

    @property
    def info(self) -> BackendInfo:
        """What is really running."""
        return self._pipeline.info

    def perceive(self, frame: RgbdFrame) -> dict[str, float]:
        """Seconds by stage, of the whole ``frame`` and of its ``segmentation``.

        A second look counts for the same stages, its preparation for ``masks``.
        """
        self._noting.calls.clear()
        start_s = time.perf_counter()
        # The two halves of Pipeline.perceive.
        instances = self._pipeline.segment(frame)
        segmented_s = time.perf_counter()
        build_cloud(frame, instances, self._pipeline.settings.cloud)
        end_s = time.perf_counter()
        stages = dict.fromkeys(STAGES, 0.0)
        between, since_s = "preparation", start_s
        for stage, called_s, done_s in self._noting.calls:
            stages[between] += called_s - since_s
            stages[stage] += done_s - called_s
            between, since_s = _AFTER[stage], done_s
        stages[between] += segmented_s - since_s
        stages["clouds"] = end_s - segmented_s
        return {**stages, FRAME: end_s - start_s, SEGMENTATION: segmented_s - start_s}

    def segment(self, frame: RgbdFrame) -> NDArray[np.uint16]:
        """The label map alone."""
        return self._pipeline.segment(frame).labels

    def close(self) -> None:
        """Frees the network."""
        self._pipeline.close()


def outside_network(times_s: dict[str, float]) -> float:
    """Share of a frame's time that is spent before, between and after the network."""
    return 1 - sum(times_s[name] for name in NETWORK) / times_s[FRAME]
