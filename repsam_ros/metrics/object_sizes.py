"""How well each true object is found, beside its size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


@dataclass(frozen=True)
class ObjectResult:
    """One true object.

    Attributes:
        area_share: Its visible pixels over those of the image.
        iou: With the prediction that the strict mIoU matches to it, 0 where there is none.
    """

    area_share: float
    iou: float


def object_results(
    predicted: NDArray[np.integer], truth: NDArray[np.integer], ignore: NDArray[np.bool_]
) -> tuple[ObjectResult, ...]:
    """The true objects in order of id; their mean IoU is the image's strict mIoU.

    Args:
        predicted: (H, W) ids, 0 = background.
        truth: (H, W) ids, 0 = background.
        ignore: (H, W) pixels that count as background on both sides.
    """
    true_ids, true_index = np.unique(np.where(ignore, 0, truth), return_inverse=True)
    found_ids, found_index = np.unique(np.where(ignore, 0, predicted), return_inverse=True)
    pairs = true_index.ravel() * len(found_ids) + found_index.ravel()
    common = np.bincount(pairs, minlength=len(true_ids) * len(found_ids))
    common = common.reshape(len(true_ids), len(found_ids))
    true_area, found_area = common.sum(axis=1), common.sum(axis=0)
    iou = common / (true_area[:, None] + found_area - common)
    iou = iou[true_ids > 0][:, found_ids > 0]
    best = np.zeros(len(iou))
    rows, columns = linear_sum_assignment(iou, maximize=True)
    best[rows] = iou[rows, columns]
    return tuple(
        ObjectResult(float(area) / truth.size, float(value))
        for area, value in zip(true_area[true_ids > 0], best, strict=True)
    )
