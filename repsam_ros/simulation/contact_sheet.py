"""A contact sheet of simulated frames: colour with outlines, sensed depth, true depth."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.datasets import Sample
from repsam_ros.presentation.contact_sheet import join_tiles, shrink
from repsam_ros.presentation.depth_colors import color_depth, depth_range

Picture = NDArray[np.uint8]

# Walls far behind would take most of the colours.
_FAR_QUANTILE = 0.9


def contact_sheet(samples: Sequence[Sample]) -> Picture:
    """(H, W, 3) RGB, two frames a row; both depths of a frame in the same colours."""
    return join_tiles([_strip(sample) for sample in samples], columns=2)


def _strip(sample: Sample) -> Picture:
    true_m = sample.frame.depth_m if sample.true_depth_m is None else sample.true_depth_m
    near_far_m = depth_range(true_m, _FAR_QUANTILE)
    tiles = [_outlined(sample)]
    for depth_m in (sample.frame.depth_m, true_m):
        tiles.append(color_depth(shrink(depth_m), near_far_m))
    strip = np.concatenate(tiles, axis=1)
    strip[:20, : 10 * len(sample.name)] = 0
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(strip, sample.name, (4, 15), font, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return strip


def _outlined(sample: Sample) -> Picture:
    picture, labels = shrink(sample.frame.color, mixing=True), shrink(sample.labels)
    for number in np.unique(labels[labels > 0]):
        mask = (labels == number).astype(np.uint8)
        lines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        is_glass = (
            sample.transparent is not None and sample.transparent[sample.labels == number].any()
        )
        color = (0, 255, 255) if is_glass else (255, 200, 0)
        cv2.drawContours(picture, lines, -1, (0, 0, 0), 2, cv2.LINE_AA)
        cv2.drawContours(picture, lines, -1, color, 1, cv2.LINE_AA)
    return picture
