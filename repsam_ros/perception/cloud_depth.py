"""Which instances have little depth of their own: glass, shiny metal, or black.

Missing depth in a mask says something only where depth was measured round it: in the shadow of the
projector or beyond the sensor's range it is missing on both sides.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Shares are counted on about this many columns: at 640 that takes a third of the time and decides
# nearly the same.
_COLUMNS = 320
_RING_PX = 4
# Chosen on simulated glass and mOSD's learn set; docs/grasping.md has what it gives elsewhere.
_MARGIN = 0.2


def little_depth(
    labels: NDArray[np.uint16], depth_m: NDArray[np.float32], count: int
) -> NDArray[np.bool_]:
    """(count + 1,) by id, 0 = context: the share with depth is much lower inside than round it.

    Args:
        labels: (H, W), ids up to ``count``.
        depth_m: (H, W) finite, 0 = invalid.
    """
    step = max(1, labels.shape[1] // _COLUMNS)
    labels, known = labels[::step, ::step], depth_m[::step, ::step] > 0
    grown = cv2.dilate(labels, np.ones((2 * _RING_PX + 1,) * 2, np.uint8))
    ring = np.where(labels > 0, np.uint16(0), grown.astype(np.uint16))
    inside, outside = (_known_shares(ids, known, count) for ids in (labels, ring))
    result: NDArray[np.bool_] = inside + _MARGIN < outside
    result[0] = False
    return result


def _known_shares(
    ids: NDArray[np.uint16], known: NDArray[np.bool_], count: int
) -> NDArray[np.float64]:
    """(count + 1,) share of the pixels of each id with depth, 0 where there are none."""
    each = np.bincount((2 * ids.astype(np.intp) + known).reshape(-1), minlength=2 * count + 2)
    without, having = each.reshape(-1, 2).T
    shares: NDArray[np.float64] = having / np.maximum(without + having, 1)
    return shares
