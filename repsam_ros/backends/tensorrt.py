"""TensorRT on NVIDIA GPUs: engines from the exported graphs, checked on this machine.

Memory comes from the CUDA driver itself (see ``_cuda_driver``), so PyTorch need not be there.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repsam_ros.backends import Backend, BackendConfig, BackendInfo, Decoded, Encoded, open_backend
from repsam_ros.backends._check import check_backend
from repsam_ros.backends._cuda_driver import CudaDevice, GpuAttributes, open_device
from repsam_ros.backends._engine_build import BuildWatch, EngineError, EngineRequest
from repsam_ros.backends._engine_cache import EngineCache, built_for
from repsam_ros.backends._engine_runner import EngineRunner
from repsam_ros.backends._graph_backend import encoder_inputs
from repsam_ros.backends._graph_folder import GRAPHS, GraphFolder, open_graphs
from repsam_ros.backends._handover import HandoverBackend
from repsam_ros.backends._prompt_batches import decode_in_batches, most_prompts
from repsam_ros.backends._tensorrt_api import Shape, TensorRt, load_tensorrt
from repsam_ros.errors import BackendError, RepsamError
from repsam_ros.paths import cache_dir, file_sha256, write_text

_log = logging.getLogger(__name__)

_USUAL_PROMPTS = 8
# What is tried when an engine fails: precisions that keep more bits, in this order.
_MORE_EXACT = {"fp16": ("bf16", "fp32"), "bf16": ("fp32",), "fp32": ()}


def build(config: BackendConfig) -> TensorRtBackend:
    """Opens TensorRT; builds the engines first where they are not there, which takes minutes.

    Raises:
        BackendError: No TensorRT, no driver, no engine that passes its check, or a cache that
            cannot be written.
    """
    return build_watched(config, BuildWatch())


def serve_while_building(config: BackendConfig, first: BackendConfig) -> HandoverBackend:
    """Serves with ``first`` at once, and with TensorRT as ``config`` says once it is ready.

    Raises:
        RepsamError: ``first`` cannot be opened.
    """
    return HandoverBackend(open_backend(first), lambda watch: build_watched(config, watch))


def build_watched(config: BackendConfig, watch: BuildWatch) -> TensorRtBackend:
    """See :func:`build`; can be followed and cancelled."""
    trt, folder = load_tensorrt(), open_graphs(config)
    cache = EngineCache(cache_dir() / "engines")
    folder.require(config.precision)
    problems = []
    for precision in (config.precision, *_MORE_EXACT[config.precision]):
        if precision not in folder.precisions:
            continue
        try:
            return _open_checked(trt, folder, replace(config, precision=precision), cache, watch)
        except EngineError as error:
            problems.append(f"{precision}: {error}")
            _log.warning("TensorRT is not used in %s", problems[-1])
    raise BackendError(f"TensorRT cannot be used: {'; '.join(problems)}")


def prompt_profiles(
    graph: str, canvas_px: tuple[int, int]
) -> dict[str, tuple[Shape, Shape, Shape]]:
    """Sizes that a graph's engine is built for; the encoder has none that vary."""
    largest = most_prompts(canvas_px)
    usual = min(_USUAL_PROMPTS, largest)
    return {"points_px": ((1, 2), (usual, 2), (largest, 2))} if graph == "decoder" else {}


def _open_checked(
    trt: TensorRt, folder: GraphFolder, config: BackendConfig, cache: EngineCache, watch: BuildWatch
) -> TensorRtBackend:
    device = open_device(config.device)
    try:
        gpu = device.attributes()
        engines = [_engine(trt, folder, graph, config, gpu, cache, watch) for graph in GRAPHS]
        backend = TensorRtBackend(trt, device, engines, folder, config.precision)
    except BaseException:
        device.close()
        raise
    try:
        _check(backend, config, cache, [file_sha256(path) for path in engines], gpu)
    except BaseException:
        backend.close()
        raise
    return backend


def _engine(
    trt: TensorRt,
    folder: GraphFolder,
    graph: str,
    config: BackendConfig,
    gpu: GpuAttributes,
    cache: EngineCache,
    watch: BuildWatch,
) -> Path:
    """The engine's file: from the folder, where one was built ahead for this GPU, or the cache."""
    onnx = folder.graph(config.precision, graph)
    request = EngineRequest(onnx, trt.__name__, prompt_profiles(graph, folder.canvas_px))
    ahead = built_for(replace(request, target=gpu.target), trt.__version__, {})
    for entry in folder.engines:
        if entry["built_for"] == ahead:
            path = folder.path / str(entry["file"])
            if path.is_file() and file_sha256(path) == entry["sha256"]:
                return path
            _log.warning("%s is not used: its bytes are not the ones that were built", path)
    return cache.get_or_build(request, trt.__version__, gpu.plain(), watch).path


def _check(
    backend: TensorRtBackend,
    config: BackendConfig,
    cache: EngineCache,
    engines: Sequence[str],
    gpu: GpuAttributes,
) -> None:
    """Holds the engines against the graphs in float32 on the CPU, once for each GPU and driver.

    Raises:
        EngineError: They differ.
        BackendError: There is nothing to hold them against.
    """
    subject = json.dumps([list(engines), gpu.plain(), config.precision], sort_keys=True)
    passed = cache.folder / f"{hashlib.sha256(subject.encode()).hexdigest()[:32]}.passed.json"
    if passed.is_file():
        return
    reference = _open_reference(config)
    try:
        report = check_backend(backend, reference)
    finally:
        reference.close()
    _log.info("TensorRT in %s against %s: %s", config.precision, reference.info().name, report)
    if not report.passed:
        raise EngineError(f"the engines fail their check: {report}")
    with cache.writing():
        write_text(passed, json.dumps({"engines": engines, **asdict(report)}) + "\n")


def _open_reference(config: BackendConfig) -> Backend:
    problems = []
    for name in ("onnxruntime", "torch"):
        try:
            return open_backend(BackendConfig(name, config.model, threads=config.threads))
        except RepsamError as error:
            problems.append(f"{name}: {error}")
    raise BackendError(f"no backend to check the engines against ({'; '.join(problems)})")


class TensorRtBackend:
    """See :class:`repsam_ros.backends.Backend`. An image is decoded before the next is encoded."""

    def __init__(
        self,
        trt: TensorRt,
        device: CudaDevice,
        engines: Sequence[Path],
        folder: GraphFolder,
        precision: str,
    ) -> None:
        """Loads the two engines; the device is this object's from now on."""
        encoder, decoder = (path.read_bytes() for path in engines)
        self._device, self._folder = device, folder
        self._encoder = EngineRunner(trt, device, encoder, kept=folder.state)
        state = {name: self._encoder.tensors[name] for name in folder.state}
        self._decoder = EngineRunner(trt, device, decoder, given=state)
        self._encoder.record()
        self._images = 0
        model = folder.model
        self._info = BackendInfo(
            name="tensorrt",
            device=device.attributes().name,
            model=model.name,
            model_sha256=model.sha256,
            precision=precision,
            version=f"{trt.__name__} {trt.__version__}",
        )

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
        self._images += 1
        outputs = self._encoder.run(encoder_inputs(color, depth_m, intrinsics))
        return Encoded(outputs["heatmap"][0], self._images)

    def decode(self, encoded: Encoded, points_px: NDArray[np.float32]) -> Decoded:
        """See :meth:`repsam_ros.backends.Backend.decode`.

        Raises:
            BackendError: Another image was encoded since; its state took the place of this one's.
        """
        if encoded.state != self._images:
            raise BackendError("this image's state is gone: decode an image before the next")

        def decode(points: NDArray[np.float32]) -> Decoded:
            outputs = self._decoder.run({"points_px": points})
            return Decoded(outputs["mask_logits"], outputs["predicted_iou"])

        return decode_in_batches(decode, points_px, self.canvas_px)

    def info(self) -> BackendInfo:
        """What is really running."""
        return self._info

    def close(self) -> None:
        """Frees the engines and their memory."""
        self._decoder.close()
        self._encoder.close()
        self._device.close()
