"""Scores of depth on glass and clear plastic.

The protocol of ClearGrasp (S. Sajjan et al., ICRA 2020): everything is brought to 256x144 by the
nearest pixel, and pixels count that are transparent and whose true depth is known. Missing depth
is taken as 0 m, so that it is wrong by all of the true depth; leaving pixels out does not pay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import DatasetError

WIDTH, HEIGHT = 256, 144


@dataclass(frozen=True)
class DepthScores:
    """Scores of the depth of one image.

    Attributes:
        rmse_m: Root of the mean squared error.
        mae_m: Mean absolute error.
        rel: Mean of the absolute error over the true depth.
        delta_105: Share of pixels with max(d / t, t / d) < 1.05, d the depth and t the true one.
        delta_110: The same below 1.10.
        delta_125: The same below 1.25.
        missing: Share of pixels without depth.
        pixels: Number of pixels that count.
    """

    rmse_m: float
    mae_m: float
    rel: float
    delta_105: float
    delta_110: float
    delta_125: float
    missing: float
    pixels: int


def score_transparent_depth(
    depth_m: NDArray[np.float32],
    true_depth_m: NDArray[np.float32],
    transparent: NDArray[np.bool_],
) -> DepthScores | None:
    """Scores (H, W) depth on transparent pixels; None where no such pixel has a true depth.

    Args:
        depth_m: Metres, 0 = missing.
        true_depth_m: Metres, 0 = unknown.

    Raises:
        DatasetError: The images differ in size.
    """
    for name, image in (("true depth", true_depth_m), ("transparent pixels", transparent)):
        if image.shape != depth_m.shape:
            raise DatasetError(f"{name}: expected {depth_m.shape} like depth, got {image.shape}")
    depth, truth = _small(depth_m).astype(np.float64), _small(true_depth_m).astype(np.float64)
    counts = (_small(transparent.astype(np.uint8)) > 0) & (truth > 0)
    if not counts.any():
        return None
    depth, truth = depth[counts], truth[counts]
    present = depth > 0
    ratio = np.full(depth.shape, np.inf)
    ratio[present] = np.maximum(depth[present] / truth[present], truth[present] / depth[present])
    error_m = np.abs(depth - truth)
    return DepthScores(
        rmse_m=float(np.sqrt(np.mean(error_m**2))),
        mae_m=float(error_m.mean()),
        rel=float((error_m / truth).mean()),
        delta_105=float((ratio < 1.05).mean()),
        delta_110=float((ratio < 1.10).mean()),
        delta_125=float((ratio < 1.25).mean()),
        missing=float((~present).mean()),
        pixels=int(counts.sum()),
    )


def _small(image: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST))
