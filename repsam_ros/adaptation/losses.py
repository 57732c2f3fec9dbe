"""Losses of masks, their predicted quality and the prompt head."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class MaskLosses(NamedTuple):
    """Scalars; ``iou`` (N,) is the true IoU of each mask."""

    focal: Tensor
    dice: Tensor
    quality: Tensor
    iou: Tensor


def mask_losses(logits: Tensor, predicted_iou: Tensor, target: Tensor) -> MaskLosses:
    """Focal, dice and IoU regression as Segment Anything trains its decoder.

    Args:
        logits: (N, h, w).
        predicted_iou: (N,).
        target: (N, h, w) in [0, 1]; all zeros asks for an empty mask.
    """
    logits = logits.float()
    probability = logits.sigmoid()
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    mismatch = (probability - target).abs()
    # Without SAM's weights of 1/4 and 3/4 a logit of 0 is a probability of one half.
    focal = (0.5 * mismatch**2 * cross_entropy).mean(dim=(1, 2))
    overlap = (probability * target).sum(dim=(1, 2))
    total = probability.sum(dim=(1, 2)) + target.sum(dim=(1, 2))
    wanted = (target.sum(dim=(1, 2)) > 0).float()
    dice = (1 - (2 * overlap + 1) / (total + 1)) * wanted
    with torch.no_grad():
        guess, truth = logits > 0, target > 0.5
        union = (guess | truth).sum(dim=(1, 2)).clamp(min=1)
        iou = (guess & truth).sum(dim=(1, 2)) / union
    quality = F.mse_loss(predicted_iou.float(), iou)
    return MaskLosses(focal.mean(), dice.sum() / wanted.sum().clamp(min=1), quality, iou)


def heatmap_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Penalty-reduced focal loss (Law and Deng, "CornerNet", 2018), per true centre."""
    logits = logits.float()
    probability = logits.sigmoid().clamp(1e-4, 1 - 1e-4)
    centre = (target > 0.999).float()
    hit = -torch.log(probability) * (1 - probability) ** 2 * centre
    miss = -torch.log(1 - probability) * probability**2 * (1 - target) ** 4 * (1 - centre)
    return ((hit + miss) * weight).sum() / centre.sum().clamp(min=1)
