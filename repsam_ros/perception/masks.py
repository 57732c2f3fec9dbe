"""From decoded masks to a label map without overlaps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from repsam_ros.errors import ConfigError

# Shares of a mask's pixels up to and from which it counts as one without and with depth.
_MEASURED_SHARES = (0.3, 0.9)
# Shares of the pixels around all masks up to and from which missing depth in a mask is no sign of
# glass and one.
_SURROUNDINGS_SHARES = (0.2, 0.5)

# Logits, and the rows and columns of the frame that they are of.
_Part = tuple[NDArray[np.float32], tuple[slice, slice]]


@dataclass(frozen=True)
class MaskSettings:
    """How masks are chosen.

    Attributes:
        mask_threshold: Logit from which a pixel belongs to a mask whose depth is measured.
        mask_threshold_without_depth: The same for a mask without depth, as on glass. A mask with
            depth in part, in 30 to 90 % of its pixels, gets one in between.
        min_score: Masks scored below are left out; score = predicted IoU x stability.
        nms_threshold: Masks are compared at this logit where they reach lower: there they also
            hold pixels of their neighbours.
        nms_iou: Of two masks that overlap more than this, the better one stays.
        nms_containment: So it is when this share of the smaller one lies in the other.
        stability_offset: Logit offset of the stability score, around the threshold.
        min_area_px: Smaller instances are left out; pixels of a 640 x 480 picture, in a region and
            at a second look of that part.
    """

    # The even point is 0; real frames gain down to -2, at contacts with the table, which is where
    # labels go further than the network; masks on glass only run into each other
    # (docs/experiments.md).
    mask_threshold: float = -2.0
    mask_threshold_without_depth: float = 0.0
    min_score: float = 0.3
    nms_threshold: float = -0.5
    nms_iou: float = 0.5
    nms_containment: float = 0.65
    stability_offset: float = 1.0
    min_area_px: int = 100

    def __post_init__(self) -> None:
        shares = (self.min_score, self.nms_iou, self.nms_containment)
        if not all(0 <= share <= 1 for share in shares):
            raise ConfigError("min_score, nms_iou and nms_containment must lie in [0, 1]")


def mask_thresholds(
    logits: NDArray[np.float32], depth_m: NDArray[np.float32], settings: MaskSettings
) -> NDArray[np.float32]:
    """(N, 1, 1) logit from which a pixel belongs to each mask.

    Args:
        logits: (N, h, w).
        depth_m: (h, w) metres, 0 = not measured. Where depth is missing around the masks as well,
            it says nothing about what they show: then they all count as measured.
    """
    inside, known = logits > 0, depth_m > 0
    measured = _areas(inside & known) / np.maximum(_areas(inside), 1)
    low, high = settings.mask_threshold_without_depth, settings.mask_threshold
    thresholds = np.interp(measured, _MEASURED_SHARES, (low, high))
    around = ~inside.any(axis=0)
    told_by = np.interp(
        known[around].mean() if around.any() else known.mean(), _SURROUNDINGS_SHARES, (0, 1)
    )
    thresholds = high + (thresholds - high) * told_by
    return np.asarray(thresholds, np.float32)[:, None, None]


def stability(logits: NDArray[np.float32], offset: float) -> NDArray[np.float32]:
    """IoU of each (h, w) mask at logits over +offset and over -offset (Segment Anything)."""
    strict, loose = _areas(logits > offset), _areas(logits > -offset)
    return np.asarray(strict / np.maximum(loose, 1), np.float32)


def _areas(masks: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(N,) pixels of each (h, w) mask; one by one they are counted ten times as fast."""
    return np.array([np.count_nonzero(mask) for mask in masks], np.intp)


def rate_masks(
    mask_logits: NDArray[np.float32],
    predicted_iou: NDArray[np.float32],
    depth_m: NDArray[np.float32],
    settings: MaskSettings,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Logits that are above 0 inside (N, h, w), their thresholds (N, 1, 1) and scores (N,).

    Args:
        mask_logits: (N, h, w) as decoded.
        predicted_iou: (N,).
        depth_m: See :func:`mask_thresholds`.
    """
    thresholds = mask_thresholds(mask_logits, depth_m, settings)
    logits = mask_logits - thresholds
    return logits, thresholds, predicted_iou * stability(logits, settings.stability_offset)


def tight_box(mask: NDArray[Any]) -> NDArray[np.float32]:
    """(4,) left, top, right, bottom pixel of what is not 0 in a (H, W) mask or label map."""
    x, y, width, height = cv2.boundingRect((mask > 0).view(np.uint8))
    return np.array([x, y, x + width - 1, y + height - 1], np.float32)


def suppress(
    logits: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    scores: NDArray[np.float32],
    settings: MaskSettings,
) -> NDArray[np.intp]:
    """Non-maximum suppression; returns the indices of the masks that stay, best first.

    Args:
        logits: (N, h, w).
        thresholds: (N, 1, 1) logit from which a pixel belongs to each mask.
        scores: (N,).
    """
    masks = logits > np.maximum(thresholds, settings.nms_threshold)
    faint = _areas(masks) == 0  # has no pixel there
    masks[faint] = logits[faint] > thresholds[faint]
    flat = masks.reshape(len(masks), -1).astype(np.float32)
    overlap = flat @ flat.T
    area = overlap.diagonal()
    union = area[:, None] + area[None] - overlap
    smaller = np.minimum(area[:, None], area[None])
    same = (overlap > settings.nms_iou * union) | (overlap > settings.nms_containment * smaller)
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        enough = scores[index] >= settings.min_score and area[index] > 0
        if enough and not same[index, kept].any():
            kept.append(int(index))
    return np.array(kept, np.intp)


def label_map(
    parts: Iterable[_Part],
    scores: NDArray[np.float32],
    frame_px: tuple[int, ...],
    min_area_px: int,
) -> tuple[NDArray[np.uint16], NDArray[np.intp]]:
    """Gives each pixel to the mask that wants it most: probability times score.

    Args:
        parts: N masks one by one: logits, above 0 inside, and the rows and columns of the frame
            that they are of. Objects are small in the frame, and the rest of it needs no logits.
        scores: (N,).
        min_area_px: Instances that get fewer pixels are left out, and those that get none.

    Returns:
        (H, W) uint16 with ids from 1 in the order of the masks that stayed, and their indices.
    """
    parts = list(parts)
    winner = _winners(parts, scores, frame_px)
    areas = np.array([np.count_nonzero(winner[box] == k) for k, (_, box) in enumerate(parts, 1)])
    stays = np.flatnonzero(areas >= max(min_area_px, 1))
    if len(stays) == len(parts):
        return winner, stays
    ids = np.zeros(len(parts) + 1, np.uint16)
    ids[stays + 1] = np.arange(1, len(stays) + 1)
    return ids.take(winner), stays


def _winners(
    parts: list[_Part], scores: NDArray[np.float32], frame_px: tuple[int, ...]
) -> NDArray[np.uint16]:
    """(H, W) number of the mask that gets each pixel, from 1; see :func:`label_map`."""
    claims = np.zeros(frame_px, np.uint16)
    insides = [(logits > 0) & (score > 0) for (logits, _), score in zip(parts, scores, strict=True)]
    for inside, (_, box) in zip(insides, parts, strict=True):
        claims[box] += inside
    winner = np.zeros(frame_px, np.uint16)
    most = np.zeros(frame_px, np.float32)
    each = zip(parts, insides, scores, strict=True)
    for number, ((logits, box), inside, score) in enumerate(each, 1):
        # Most pixels are in one mask, and need no probability.
        np.copyto(winner[box], np.uint16(number), where=inside & (claims[box] == 1))
        rows, columns = np.nonzero(inside & (claims[box] > 1))
        weighted = expit(logits[rows, columns]) * score
        wins = weighted > most[box][rows, columns]
        rows, columns = rows[wins], columns[wins]
        most[box][rows, columns] = weighted[wins]
        winner[box][rows, columns] = number
    return winner
