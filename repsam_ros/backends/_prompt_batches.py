"""How many prompts are decoded at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from repsam_ros.backends import Decoded

_MOST_PROMPTS = 40
# Memory for activations grows with prompts and pixels: 8 prompts at 1024 x 1024.
_MOST_PROMPT_PIXELS = 8 * 1024 * 1024


def most_prompts(canvas_px: tuple[int, int]) -> int:
    """Prompts that are decoded at once at most."""
    return max(1, min(_MOST_PROMPTS, _MOST_PROMPT_PIXELS // (canvas_px[0] * canvas_px[1])))


def decode_in_batches(
    decode: Callable[[NDArray[np.float32]], Decoded],
    points_px: NDArray[np.float32],
    canvas_px: tuple[int, int],
) -> Decoded:
    """Masks of all (N, 2) points, N of any size, on a canvas of (height, width)."""
    most = most_prompts(canvas_px)
    parts = [decode(points_px[start : start + most]) for start in range(0, len(points_px), most)]
    if not parts:
        height, width = (side // 2 for side in canvas_px)
        return Decoded(np.zeros((0, height, width), np.float32), np.zeros(0, np.float32))
    if len(parts) == 1:
        return parts[0]
    return Decoded(
        np.concatenate([part.mask_logits for part in parts]),
        np.concatenate([part.predicted_iou for part in parts]),
    )
