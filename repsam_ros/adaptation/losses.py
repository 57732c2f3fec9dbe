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


def mask_losses(
    logits: Tensor, predicted_iou: Tensor, target: Tensor, weight: Tensor
) -> MaskLosses:
    """Focal, dice and IoU regression as Segment Anything trains its decoder.

    Args:
        logits: (N, h, w).
        predicted_iou: (N,).
        target: (N, h, w) in [0, 1]; all zeros asks for an empty mask.
        weight: (N, h, w) in [0, 1], how much each pixel counts; a mask of which none counts is
            no part of any mean.
    """
    logits = logits.float()
    probability = logits.sigmoid()
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    mismatch = (probability - target).abs()
    counted = weight.sum(dim=(1, 2))
    # Without SAM's weights of 1/4 and 3/4 a logit of 0 is a probability of one half.
    focal = 0.5 * (mismatch**2 * cross_entropy * weight).sum(dim=(1, 2)) / counted.clamp(min=1)
    overlap = (probability * target * weight).sum(dim=(1, 2))
    size = (target * weight).sum(dim=(1, 2))
    total = (probability * weight).sum(dim=(1, 2)) + size
    dice = 1 - (2 * overlap + 1) / (total + 1)
    with torch.no_grad():
        guess, truth = (logits > 0) & (weight > 0), (target > 0.5) & (weight > 0)
        union = (guess | truth).sum(dim=(1, 2)).clamp(min=1)
        iou = (guess & truth).sum(dim=(1, 2)) / union
    error = (predicted_iou.float() - iou) ** 2
    asked, wanted = counted > 0, size > 0
    return MaskLosses(_mean(focal, asked), _mean(dice, wanted), _mean(error, asked), iou)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum() / where.sum().clamp(min=1)


def heatmap_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Penalty-reduced focal loss (Law and Deng, "CornerNet", 2018), per true centre."""
    logits = logits.float()
    probability = logits.sigmoid().clamp(1e-4, 1 - 1e-4)
    centre = (target > 0.999).float()
    hit = -torch.log(probability) * (1 - probability) ** 2 * centre
    miss = -torch.log(1 - probability) * probability**2 * (1 - target) ** 4 * (1 - centre)
    return ((hit + miss) * weight).sum() / centre.sum().clamp(min=1)


def foreground_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean cross-entropy of the cells that count."""
    loss = F.binary_cross_entropy_with_logits(logits.float(), target, weight, reduction="sum")
    return loss / weight.sum().clamp(min=1)
