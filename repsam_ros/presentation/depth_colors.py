"""Depth as a picture for people."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_NEAR_QUANTILE = 0.01


def depth_range(depth_m: NDArray[np.float32], far_quantile: float = 0.99) -> tuple[float, float]:
    """Nearest and farthest depth that colours should tell apart, metres; outliers lie beyond."""
    valid = depth_m[depth_m > 0]
    if not valid.size:
        return 0.0, 1.0
    near_m, far_m = np.quantile(valid, (_NEAR_QUANTILE, far_quantile))
    return float(near_m), float(far_m)


def color_depth(depth_m: NDArray[np.float32], near_far_m: tuple[float, float]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of (H, W) metres: near red to far blue, black where there is no depth."""
    near_m, far_m = near_far_m
    steps = 255 * (1 - np.clip((depth_m - near_m) / max(far_m - near_m, 1e-6), 0, 1))
    picture = cv2.applyColorMap(steps.astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1].copy()
    picture[depth_m <= 0] = 0
    return np.asarray(picture, np.uint8)
