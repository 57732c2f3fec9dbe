"""ONNX Runtime: exported graphs on CPUs, and on NVIDIA GPUs through CUDA or TensorRT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from repsam_ros.backends import BackendConfig, BackendInfo, Decoded, Encoded
from repsam_ros.backends._graph_folder import GraphFolder, open_graphs
from repsam_ros.errors import BackendError

# What each device asks of the library; the last name is what the others leave work to.
PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": (
        "TensorrtExecutionProvider",
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ),
}
_ERRORS = 3  # ONNX Runtime's severity


def build(config: BackendConfig) -> OnnxRuntimeBackend:
    """Opens the graphs on the device: ``cpu``, ``cuda``, ``cuda:1``, or ``tensorrt``.

    Raises:
        BackendError: The library has no such device or does not use it, or the graphs cannot be
            exported here.
        CheckpointError: The graphs are missing or broken.
    """
    device, _, index = config.device.partition(":")
    if device not in PROVIDERS or not (index or "0").isdecimal():
        raise BackendError(
            f"device {config.device!r}: ONNX Runtime has {', '.join(PROVIDERS)} here"
        )
    providers = PROVIDERS[device]
    if providers[0] not in ort.get_available_providers():
        raise BackendError(
            f"device {config.device!r}: this ONNX Runtime has no {providers[0]}, only "
            f"{', '.join(ort.get_available_providers())}"
        )
    folder = open_graphs(config)
    options = [
        {"device_id": int(index or 0)} if name != PROVIDERS["cpu"][0] else {} for name in providers
    ]
    return OnnxRuntimeBackend(folder, config, list(zip(providers, options, strict=True)))


class OnnxRuntimeBackend:
    """See :class:`repsam_ros.backends.Backend`."""

    def __init__(
        self,
        folder: GraphFolder,
        config: BackendConfig,
        providers: Sequence[tuple[str, dict[str, Any]]],
    ) -> None:
        """Opens both graphs; see :func:`build`."""
        self._folder, self._config = folder, config
        self._provider, _ = providers[0]
        graphs = [folder.graph(config.precision, name) for name in ("encoder", "decoder")]
        self._encoder, self._decoder = (_open(graph, providers, config.threads) for graph in graphs)

    @property
    def canvas_px(self) -> tuple[int, int]:
        """(height, width) of the image that the network sees."""
        return self._folder.canvas_px

    def encode(
        self,
        color: NDArray[np.uint8],
        depth_m: NDArray[np.float32],
        intrinsics: NDArray[np.float32],
    ) -> Encoded:
        """See :meth:`repsam_ros.backends.Backend.encode`."""
        inputs: dict[str, NDArray[Any]] = {
            "color": color[None],
            "depth_m": depth_m[None],
            "intrinsics": intrinsics[None],
        }
        heatmap, *state = _run(self._encoder, ("heatmap", *self._folder.state), inputs)
        return Encoded(heatmap[0], state)

    def decode(self, encoded: Encoded, points_px: NDArray[np.float32]) -> Decoded:
        """See :meth:`repsam_ros.backends.Backend.decode`."""
        state = cast(list[NDArray[Any]], encoded.state)
        inputs = dict(zip(self._folder.state, state, strict=True)) | {"points_px": points_px}
        logits, quality = _run(self._decoder, ("mask_logits", "predicted_iou"), inputs)
        return Decoded(logits, quality)

    def info(self) -> BackendInfo:
        """What is really running."""
        return BackendInfo(
            name="onnxruntime",
            device=self._provider.removesuffix("ExecutionProvider").lower(),
            model=self._folder.model.name,
            model_sha256=self._folder.model.sha256,
            precision=self._config.precision,
            version=ort.__version__,
        )

    def close(self) -> None:
        """Frees the sessions."""
        del self._encoder, self._decoder


def _open(
    graph: Path, providers: Sequence[tuple[str, dict[str, Any]]], threads: int
) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _ERRORS
    try:
        session = ort.InferenceSession(str(graph), options, providers=list(providers))
    except Exception as error:  # the library raises a class of its own for each of its codes
        raise BackendError(f"ONNX Runtime cannot open {graph}: {error}") from error
    # The library goes on with another provider when one fails to start.
    if (active := session.get_providers()[0]) != providers[0][0]:
        raise BackendError(f"ONNX Runtime runs {graph.name} on {active}, not on {providers[0][0]}")
    session.disable_fallback()
    return session


def _run(
    session: ort.InferenceSession, outputs: Sequence[str], inputs: dict[str, NDArray[Any]]
) -> list[NDArray[Any]]:
    try:
        found: list[NDArray[Any]] = session.run(list(outputs), inputs)
    except Exception as error:  # as in _open
        raise BackendError(f"ONNX Runtime failed: {error}") from error
    return found
