"""Scores of one label map against the truth.

Overlap and boundary precision, recall, F and %75 after Xie et al., "Unseen Object Instance
Segmentation for Robotic Environments", T-RO 2021. Boundaries as in the DAVIS benchmark
(Perazzi et al., CVPR 2016). Three definitions of mIoU that must not be mixed: strict (every true
object counts, found or not), pooled (Back et al., "Unseen Object Amodal Instance Segmentation",
ICRA 2022) and prompted (each true object is asked for, so nothing is searched or matched).

Of matchings that are equally good the first in reading order is taken. That happens among masks
without a common pixel, where implementations differ: their boundaries may still lie close.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from repsam_ros.errors import DatasetError

# Names of the scores in files, and what people read.
TITLES = {
    "overlap_p": "Overlap P",
    "overlap_r": "Overlap R",
    "overlap_f": "Overlap F",
    "boundary_p": "Boundary P",
    "boundary_r": "Boundary R",
    "boundary_f": "Boundary F",
    "pct75": "%75",
    "strict_miou": "mIoU strict",
    "pooled_miou": "mIoU pooled",
}
SCORE_NAMES = tuple(TITLES)
# What a short table shows of them.
MAIN_SCORES = ("overlap_f", "boundary_f", "pct75", "strict_miou")
COUNT_NAMES = ("predicted", "true")

_BOUNDARY_TOLERANCE = 0.003
_DETECTED_F = 0.75


@dataclass(frozen=True)
class ImageScores:
    """Scores of one image, all in [0, 1] but the counts.

    Attributes:
        pct75: Matched pairs with an F over 0.75 per true object.
        strict_miou: Mean over true objects of the IoU after a matching on IoU, 0 where unmatched.
        pooled_miou: Summed intersection over summed union of the pairs matched on F.
        predicted: Number of predicted instances outside ignored pixels.
        true: Number of true objects.
    """

    overlap_p: float
    overlap_r: float
    overlap_f: float
    boundary_p: float
    boundary_r: float
    boundary_f: float
    pct75: float
    strict_miou: float
    pooled_miou: float
    predicted: int
    true: int


def score_labels(
    predicted: NDArray[np.integer],
    truth: NDArray[np.integer],
    ignore: NDArray[np.bool_] | None = None,
) -> ImageScores:
    """Scores a label map against the truth.

    Nothing predicted gives P = 1 and R = F = 0, nothing true P = F = 0 and R = 1, and an empty
    prediction of an empty truth is perfect.

    Args:
        predicted: (H, W) ids, 0 = background.
        truth: (H, W) ids, 0 = background.
        ignore: (H, W) pixels that count as background on both sides.

    Raises:
        DatasetError: The maps differ in size.
    """
    if predicted.shape != truth.shape or predicted.ndim != 2:
        raise DatasetError(f"label map: expected {truth.shape} like truth, got {predicted.shape}")
    if ignore is not None:
        if ignore.shape != truth.shape:
            raise DatasetError(f"ignored pixels: expected {truth.shape}, got {ignore.shape}")
        predicted = np.where(ignore, 0, predicted)
        truth = np.where(ignore, 0, truth)
    predicted_index, predicted_count = _index(predicted)
    truth_index, truth_count = _index(truth)
    if not predicted_count or not truth_count:
        return _empty_scores(predicted_count, truth_count)

    overlaps = _overlaps(predicted_index, predicted_count, truth_index, truth_count)
    predicted_area = np.bincount(predicted_index.ravel(), minlength=predicted_count + 1)[1:]
    truth_area = np.bincount(truth_index.ravel(), minlength=truth_count + 1)[1:]
    area_sum = truth_area[:, None] + predicted_area
    dice = 2.0 * overlaps / area_sum
    iou = overlaps / (area_sum - overlaps)

    rows, columns = linear_sum_assignment(dice, maximize=True)
    matched = int(overlaps[rows, columns].sum())
    overlap_p, overlap_r = matched / predicted_area.sum(), matched / truth_area.sum()
    boundary_p, boundary_r = _boundary_scores(
        predicted_index, predicted_count, truth_index, truth_count, rows, columns
    )
    return ImageScores(
        overlap_p=float(overlap_p),
        overlap_r=float(overlap_r),
        overlap_f=_f_measure(overlap_p, overlap_r),
        boundary_p=boundary_p,
        boundary_r=boundary_r,
        boundary_f=_f_measure(boundary_p, boundary_r),
        pct75=float((dice[rows, columns] > _DETECTED_F).sum() / truth_count),
        strict_miou=float(iou[linear_sum_assignment(iou, maximize=True)].sum() / truth_count),
        pooled_miou=matched / float((area_sum - overlaps)[rows, columns].sum()),
        predicted=predicted_count,
        true=truth_count,
    )


def prompted_miou(
    masks: Mapping[int, NDArray[np.bool_]],
    truth: NDArray[np.integer],
    ignore: NDArray[np.bool_] | None = None,
) -> float | None:
    """Mean IoU over true objects of the masks that their prompts gave.

    Args:
        masks: (H, W) mask by true id; they may overlap. An object without a mask has IoU 0.
        truth: (H, W) ids, 0 = background.
        ignore: (H, W) pixels that count as background on both sides.

    Returns:
        None where there is no object outside ignored pixels, so nothing could be prompted.

    Raises:
        DatasetError: A mask differs from the truth in size.
    """
    counts = np.ones(truth.shape, bool) if ignore is None else ~ignore
    ious = []
    for k in np.unique(truth[counts]):
        if not k:
            continue
        mask = masks.get(int(k), np.zeros(truth.shape, bool))
        if mask.shape != truth.shape:
            raise DatasetError(f"mask of object {k}: expected {truth.shape}, got {mask.shape}")
        predicted, true = mask & counts, (truth == k) & counts
        ious.append(np.count_nonzero(predicted & true) / np.count_nonzero(predicted | true))
    return float(np.mean(ious)) if ious else None


def boundary_map(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """DAVIS boundary of a (H, W) mask of 0 and 1: pixels that differ from the one to the right,
    below or right below; beyond the image nothing differs."""
    boundary = np.zeros_like(mask)
    boundary[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    boundary[:-1] |= mask[:-1] ^ mask[1:]
    boundary[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return boundary


def boundary_radius_px(shape: tuple[int, ...]) -> int:
    """How far apart matching boundary pixels may lie, 0.3 % of the image diagonal rounded up."""
    return math.ceil(_BOUNDARY_TOLERANCE * math.hypot(*shape))


def _index(labels: NDArray[np.integer]) -> tuple[NDArray[np.intp], int]:
    """Ids replaced by 1..N in reading order, so that ties never depend on the ids themselves."""
    ids, first, inverse = np.unique(labels.ravel(), return_index=True, return_inverse=True)
    objects = np.flatnonzero(ids)
    index = np.zeros(len(ids), np.intp)
    index[objects[np.argsort(first[objects])]] = np.arange(1, len(objects) + 1)
    return index[inverse].reshape(labels.shape), len(objects)


def _overlaps(
    predicted: NDArray[np.intp], predicted_count: int, truth: NDArray[np.intp], truth_count: int
) -> NDArray[np.intp]:
    """(true, predicted) common pixels."""
    width = predicted_count + 1
    pairs = np.bincount((truth * width + predicted).ravel(), minlength=(truth_count + 1) * width)
    return pairs.reshape(truth_count + 1, width)[1:, 1:]


def _boundary_scores(
    predicted: NDArray[np.intp],
    predicted_count: int,
    truth: NDArray[np.intp],
    truth_count: int,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
) -> tuple[float, float]:
    """Boundary precision and recall: matches within pairs over the boundaries of all masks."""
    predicted_maps = [_object_boundary(predicted, k + 1) for k in range(predicted_count)]
    truth_maps = [_object_boundary(truth, k + 1) for k in range(truth_count)]
    disk = _disk(boundary_radius_px(truth.shape))
    predicted_matches = truth_matches = 0
    for row, column in zip(rows, columns, strict=True):
        near_truth = cv2.dilate(truth_maps[row], disk)
        near_predicted = cv2.dilate(predicted_maps[column], disk)
        predicted_matches += cv2.countNonZero(predicted_maps[column] & near_truth)
        truth_matches += cv2.countNonZero(truth_maps[row] & near_predicted)
    return (
        _ratio(predicted_matches, sum(map(cv2.countNonZero, predicted_maps))),
        _ratio(truth_matches, sum(map(cv2.countNonZero, truth_maps))),
    )


def _object_boundary(index: NDArray[np.intp], k: int) -> NDArray[np.uint8]:
    return boundary_map((index == k).view(np.uint8))


def _disk(radius_px: int) -> NDArray[np.uint8]:
    offset = np.arange(-radius_px, radius_px + 1)
    return (offset[:, None] ** 2 + offset**2 <= radius_px**2).astype(np.uint8)


def _ratio(part: int, whole: int) -> float:
    """An object that fills the image has no boundary, so there is none to miss either."""
    return part / whole if whole else 1.0


def _f_measure(precision: float, recall: float) -> float:
    total = precision + recall
    return float(2.0 * precision * recall / total) if total else 0.0


def _empty_scores(predicted: int, true: int) -> ImageScores:
    precision, recall = float(predicted == 0), float(true == 0)
    rest = float(predicted == 0 and true == 0)
    return ImageScores(
        overlap_p=precision,
        overlap_r=recall,
        overlap_f=rest,
        boundary_p=precision,
        boundary_r=recall,
        boundary_f=rest,
        pct75=rest,
        strict_miou=rest,
        pooled_miou=rest,
        predicted=predicted,
        true=true,
    )
