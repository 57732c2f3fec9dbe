"""PyTorch, eager or compiled: runs everywhere, the reference for every other backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repsam_ros.backends import BackendConfig, BackendInfo, Decoded, Encoded
from repsam_ros.backends._prompt_batches import decode_in_batches
from repsam_ros.errors import BackendError, FrameError
from repsam_ros.methods import load_model
from repsam_ros.network.build import DecodedMasks, DecoderState, EncodedImage, RepSam
from repsam_ros.network.weights import ModelFile

PRECISIONS = ("fp32", "bf16")


def build(
    config: BackendConfig, load: Callable[[str], tuple[RepSam, ModelFile]] = load_model
) -> TorchBackend:
    """Loads the model onto the device.

    Args:
        load: From the model's name to its network.

    Raises:
        BackendError: The device is not there, or the precision is not one of PyTorch's here.
        CheckpointError: The weights are missing or broken.
    """
    if config.precision not in PRECISIONS:
        raise BackendError(f"torch runs in {', '.join(PRECISIONS)}, not in {config.precision}")
    device = find_device(config.device)
    if config.threads > 0:
        torch.set_num_threads(config.threads)
    network, model = load(config.model)
    return TorchBackend(network.to(device), model, config.precision, compiled=config.compile)


def find_device(name: str) -> torch.device:
    """PyTorch's device of that name.

    Raises:
        BackendError: No such name, or no such device on this machine.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BackendError(f"device {name!r}: not a PyTorch device name") from error
    if device.type == "cuda":
        # Nothing is put onto it yet: that would take memory on the first GPU from each process of a
        # training, and keep processes that are forked later from using any.
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise BackendError(f"device {name!r}: PyTorch finds {count} CUDA devices")
        return device
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, ImportError) as error:
        # What PyTorch says is pages long.
        raise BackendError(f"device {name!r}: PyTorch cannot use it on this machine") from error
    return device


class TorchBackend:
    """See :class:`repsam_ros.backends.Backend`."""

    def __init__(
        self, network: RepSam, model: ModelFile, precision: str, *, compiled: bool = False
    ) -> None:
        """Runs a network that is on its device and in evaluation mode; ``model`` is its name."""
        self._network, self._model, self._precision = network, model, precision
        self._device = next(network.parameters()).device
        self._canvas_px = network.spec.canvas_px
        self._encode, self._decode, self._compiled = network.encode, self._masks, compiled
        if compiled:
            self._encode = torch.compile(network.encode, dynamic=False)
            self._decode = torch.compile(self._masks, dynamic=True)

    @property
    def canvas_px(self) -> tuple[int, int]:
        """(height, width) of the image that the network sees."""
        return self._canvas_px

    def _autocast(self) -> torch.autocast:
        enabled = self._precision == "bf16"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=enabled)

    def encode(
        self,
        color: NDArray[np.uint8],
        depth_m: NDArray[np.float32],
        intrinsics: NDArray[np.float32],
    ) -> Encoded:
        """See :meth:`repsam_ros.backends.Backend.encode`."""
        pixels = torch.from_numpy(color).to(self._device).permute(2, 0, 1)[None].float()
        depth = torch.from_numpy(depth_m).to(self._device)[None]
        camera = torch.from_numpy(intrinsics).to(self._device)[None]
        try:
            with torch.inference_mode(), self._autocast():
                encoded = self._encode(pixels, depth, camera)
                heatmap = encoded.heatmap[0].float().sigmoid().cpu().numpy()
                state: EncodedImage | DecoderState = encoded
                if self._network.decoder_extension is None:
                    state = self._network.decoder_state(encoded)
        except torch.OutOfMemoryError as error:
            raise FrameError("out_of_memory", f"{self._device}: {error}") from error
        return Encoded(heatmap, state)

    def decode(self, encoded: Encoded, points_px: NDArray[np.float32]) -> Decoded:
        """See :meth:`repsam_ros.backends.Backend.decode`."""
        state = cast(EncodedImage | DecoderState, encoded.state)

        def decode(points: NDArray[np.float32]) -> Decoded:
            decoded = self._decode(state, torch.from_numpy(points).to(self._device))
            quality = decoded.predicted_iou.float().clamp(0, 1)
            return Decoded(decoded.logits.float().cpu().numpy(), quality.cpu().numpy())

        try:
            with torch.inference_mode(), self._autocast():
                return decode_in_batches(decode, points_px, self._canvas_px)
        except torch.OutOfMemoryError as error:
            raise FrameError("out_of_memory", f"{self._device}: {error}") from error

    def _masks(self, state: EncodedImage | DecoderState, points: Tensor) -> DecodedMasks:
        if isinstance(state, DecoderState):
            return self._network.decode_state(state, points)
        index = torch.zeros(len(points), dtype=torch.int64, device=self._device)
        return self._network.decode(state, index, points)

    def info(self) -> BackendInfo:
        """What is really running."""
        device = self._device.type
        if device == "cuda":
            device = torch.cuda.get_device_name(self._device)
        return BackendInfo(
            name="torch",
            device=device,
            model=self._model.name,
            model_sha256=self._model.sha256,
            precision=self._precision,
            version=f"{torch.__version__}, compiled" if self._compiled else torch.__version__,
        )

    def close(self) -> None:
        """Frees the network."""
        self._network.to("cpu")
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
