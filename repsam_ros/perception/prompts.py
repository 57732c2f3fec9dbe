"""From the prompt head's heatmap to point prompts."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.structures import Prompts


def find_prompts(
    heatmap: NDArray[np.float32], canvas_px: tuple[int, int], min_score: float, max_prompts: int
) -> Prompts:
    """Local maxima of a heatmap, best first.

    Args:
        heatmap: (h, w) in [0, 1].
        canvas_px: (height, width) that the heatmap covers; the points are in its pixels.
        min_score: Maxima below are left out.
        max_prompts: At most this many, the best ones.
    """
    highest = cv2.dilate(heatmap, np.ones((3, 3), np.uint8))
    rows, columns = np.nonzero((heatmap >= highest) & (heatmap >= min_score))
    scores = heatmap[rows, columns]
    order = np.argsort(-scores, kind="stable")[:max_prompts]
    step_y, step_x = canvas_px[0] / heatmap.shape[0], canvas_px[1] / heatmap.shape[1]
    points = np.column_stack(
        [(columns[order] + 0.5) * step_x - 0.5, (rows[order] + 0.5) * step_y - 0.5]
    )
    return Prompts(points.astype(np.float32).reshape(-1, 2), scores[order].astype(np.float32))
