"""What a training step computes: pictures in, loss out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from repsam_ros.adaptation.losses import foreground_loss, heatmap_loss, mask_losses
from repsam_ros.adaptation.targets import centre_targets, prompt_masks, sample_prompts
from repsam_ros.adaptation.training_config import TrainConfig
from repsam_ros.methods import Method
from repsam_ros.network.build import RepSam
from repsam_ros.simulation.rendering import Pictures
from repsam_ros.simulation.views import MAX_OBJECTS

_GREY = 0.45


class Objective(nn.Module):
    """The loss of a network as a module, which is what processes that train together share."""

    def __init__(self, network: RepSam, config: TrainConfig, method: Method | None = None) -> None:
        super().__init__()
        self.network, self._config, self._method = network, config, method

    def forward(
        self, pictures: Pictures, draw: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss and its detached parts, all scalars.

        Args:
            draw: Decides on prompts and lost modalities.
        """
        config, weights = self._config, self._config.losses
        color, depth_m = self._drop_modalities(pictures, draw)
        centres = centre_targets(pictures.ids, MAX_OBJECTS, pictures.ignore)
        prompts = sample_prompts(centres, config.prompts_per_image, config.background_prompts, draw)
        target, counted = prompt_masks(pictures.ids, prompts, pictures.ignore)
        device = pictures.color.device.type
        with torch.autocast(device, torch.bfloat16, enabled=config.precision == "bf16"):
            encoded = self.network.encode(color, depth_m, pictures.intrinsics)
            decoded = self.network.decode(encoded, prompts.image_index, prompts.points_px)
        masks = mask_losses(decoded.logits, decoded.predicted_iou, target, counted)
        heatmap = heatmap_loss(encoded.heatmap, centres.heatmap, centres.weight)
        foreground = foreground_loss(encoded.foreground, centres.foreground, centres.known)
        loss = (
            weights.focal * masks.focal
            + weights.dice * masks.dice
            + weights.quality * masks.quality
            + weights.heatmap * heatmap
            + weights.foreground * foreground
        )
        wanted = prompts.object_ids > 0
        parts = {
            "focal": masks.focal,
            "dice": masks.dice,
            "quality": masks.quality,
            "heatmap": heatmap,
            "foreground": foreground,
            "iou": (masks.iou * wanted).sum() / wanted.sum().clamp(min=1),
        }
        extra = None if self._method is None else self._method.extra_loss(self.network)
        if extra is not None:
            loss, parts["extra"] = loss + extra, extra
        return loss, {name: value.detach() for name, value in parts.items()}

    def _drop_modalities(self, pictures: Pictures, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """Colour in 0..255 and depth, each missing from some pictures, never both."""
        chance = torch.rand(len(pictures.color), generator=draw, device=pictures.color.device)
        blind = chance < self._config.depth_dropout
        dark = chance > 1 - self._config.color_dropout
        depth_m = torch.where(blind[:, None, None], 0.0, pictures.depth_m)
        color = torch.where(dark[:, None, None, None], _GREY, pictures.color) * 255
        return color, depth_m
