"""Segment Anything as its authors run it, with the weights of one of our networks."""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.modeling import ImageEncoderViT, Sam
from segment_anything.modeling.image_encoder import Attention
from torch import Tensor, nn

from repsam_ros.backends.torch import find_device
from repsam_ros.errors import ConfigError
from repsam_ros.evaluation.latency.stages import FRAME
from repsam_ros.network.build import RepSam
from repsam_ros.network.sam import (
    PATCH_PX,
    PIXEL_MEAN,
    PIXEL_STD,
    BackboneSpec,
    build_prompt_encoder,
    normalise,
)
from repsam_ros.perception.canvas import fit
from repsam_ros.structures import RgbdFrame


class StockEncoder:
    """The image encoder alone, on the canvas that ours sees, without depth."""

    def __init__(self, network: RepSam, device: str) -> None:
        """Takes a copy of the encoder's weights.

        Raises:
            ConfigError: The backbone is another package's.
        """
        encoder, spec = _stock(network)
        self._canvas_px, self._device = spec.canvas_px, find_device(device)
        rows, columns = (side // PATCH_PX for side in self._canvas_px)
        if encoder.pos_embed is not None:
            encoder.pos_embed = nn.Parameter(encoder.pos_embed[:, :rows, :columns])
        self._encoder = encoder.to(self._device)

    def run(self, frame: RgbdFrame) -> dict[str, float]:
        """Seconds of the ``encoder``, its input being ready."""
        color = torch.from_numpy(fit(frame, self._canvas_px).color).to(self._device)
        pixels = normalise(color.permute(2, 0, 1)[None].float())
        with torch.inference_mode():
            start_s = time.perf_counter()
            self._encoder(pixels).sum().item()  # waits for a GPU
            return {"encoder": time.perf_counter() - start_s}


class StockGenerator:
    """Its automatic mask generator with default settings: 1024 points a picture."""

    def __init__(self, network: RepSam, device: str) -> None:
        """Takes a copy of the weights that are Segment Anything's own.

        Raises:
            ConfigError: The backbone is another package's.
        """
        (encoder, spec), decoder = _stock(network), copy.deepcopy(network.mask_decoder)
        prompts = build_prompt_encoder(replace(spec, canvas_px=(encoder.img_size,) * 2))
        prompts.load_state_dict(network.prompt_encoder.state_dict())
        sam = Sam(encoder, prompts, decoder, list(PIXEL_MEAN), list(PIXEL_STD)).eval()
        sam.to(find_device(device))
        self._generator = SamAutomaticMaskGenerator(sam)
        if decoder.num_multimask_outputs == 0:
            self._generator.predictor = _OneMaskPredictor(sam)

    def run(self, frame: RgbdFrame) -> dict[str, float]:
        """Seconds of the whole ``frame``."""
        start_s = time.perf_counter()
        self._generator.generate(np.ascontiguousarray(frame.color))
        return {FRAME: time.perf_counter() - start_s}

    def label_map(
        self, frame: RgbdFrame, least_iou: float, least_stability: float
    ) -> NDArray[np.uint16]:
        """Its masks with these thresholds as a label map without overlaps.

        The largest mask comes first and smaller ones lie on top of it; masks of more than half of
        the picture are background.
        """
        own = self._generator.pred_iou_thresh, self._generator.stability_score_thresh
        self._generator.pred_iou_thresh = least_iou
        self._generator.stability_score_thresh = least_stability
        masks = self._generator.generate(np.ascontiguousarray(frame.color))
        self._generator.pred_iou_thresh, self._generator.stability_score_thresh = own
        labels = np.zeros(frame.depth_m.shape, np.uint16)
        objects = [mask for mask in masks if mask["area"] <= labels.size / 2]
        objects.sort(key=lambda mask: -int(mask["area"]))
        for number, mask in enumerate(objects, 1):
            labels[mask["segmentation"]] = number
        return labels


class _OneMaskPredictor(SamPredictor):  # type: ignore[misc]
    """For a decoder that gives one mask a point, where SAM's gives three."""

    def predict_torch(self, *args: Any, **options: Any) -> tuple[Tensor, Tensor, Tensor]:
        masks: tuple[Tensor, Tensor, Tensor] = super().predict_torch(
            *args, **{**options, "multimask_output": False}
        )
        return masks


def _stock(network: RepSam) -> tuple[ImageEncoderViT, BackboneSpec]:
    """A copy of the encoder with the code of its authors, and its shape."""
    if not isinstance(network.spec, BackboneSpec):
        raise ConfigError(f"the encoder of {network.config.backbone} is not segment-anything's")
    encoder = copy.deepcopy(network.image_encoder).eval().requires_grad_(False)
    encoder.__class__ = ImageEncoderViT
    for block in encoder.blocks:
        block.attn.__class__ = Attention
    return encoder, network.spec
