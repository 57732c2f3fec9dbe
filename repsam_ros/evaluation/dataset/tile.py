"""A sample of a data set as a small picture of colour, masks and depth."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.datasets import Sample
from repsam_ros.presentation.contact_sheet import shrink
from repsam_ros.presentation.depth_colors import color_depth, depth_range
from repsam_ros.presentation.overlay import draw_labels

_CAPTION_PX = 20


def draw_tile(sample: Sample) -> NDArray[np.uint8]:
    """Colour with masks beside depth, with the name above; (H, W, 3) RGB."""
    color = sample.frame.color.copy()
    color[sample.ignore] //= 2
    labels = shrink(sample.labels)
    without_text = {int(k): "" for k in np.unique(labels)}
    masks = draw_labels(shrink(color, mixing=True), labels, without_text)
    depth_m = shrink(sample.frame.depth_m)
    pair = np.concatenate((masks, color_depth(depth_m, depth_range(depth_m))), axis=1)
    caption = np.full((_CAPTION_PX, pair.shape[1], 3), 255, np.uint8)
    text = f"{sample.split}: {sample.name}"
    font, place = cv2.FONT_HERSHEY_SIMPLEX, (4, _CAPTION_PX - 6)
    cv2.putText(caption, text, place, font, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate((caption, pair))
