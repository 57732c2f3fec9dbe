"""The second look: the part of a frame that holds its objects, where these are small.

The network sees every picture at the size of its canvas. Where most objects are small and all lie
in one part of the frame, that part alone shows them with more pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from repsam_ros.errors import ConfigError
from repsam_ros.perception.masks import tight_box
from repsam_ros.perception.region import RegionSettings
from repsam_ros.structures import Instances


@dataclass(frozen=True)
class CloserLookSettings:
    """When a frame is segmented twice, and how close the second time.

    Areas are pixels of a 640 x 480 frame; where a region is set, that region is the frame.

    Attributes:
        enabled: Without it each frame is segmented once; a second look takes as long as the first.
        max_area_px: Median area of the instances above which one look is enough.
        target_area_px: Median area up to which they are enlarged. Objects that fill most of the
            canvas are segmented worse than smaller ones.
        min_zoom: Less than this is not worth a second look.
        max_zoom: How much larger than at the first look objects may be on the canvas, in length.
        margin: Room on each side of the objects, relative to the extent of them all.
    """

    enabled: bool = True
    max_area_px: int = 4000
    target_area_px: int = 6000
    min_zoom: float = 1.25
    max_zoom: float = 2.0
    margin: float = 0.1

    def __post_init__(self) -> None:
        if not 1 < self.min_zoom <= self.max_zoom:
            raise ConfigError("closer_look: 1 < min_zoom <= max_zoom must hold")
        if min(self.max_area_px, self.target_area_px) < 1 or self.margin < 0:
            raise ConfigError("closer_look: areas must be at least 1, margin at least 0")


def closer_region(
    instances: Instances, canvas_px: tuple[int, int], settings: CloserLookSettings
) -> RegionSettings | None:
    """Where to look again; None where nothing is gained.

    Args:
        instances: Of the first look.
        canvas_px: (height, width) at which the network sees the frame, and the region.
    """
    if not settings.enabled or len(instances.scores) == 0:
        return None
    labels = instances.labels
    height, width = labels.shape
    left, top, right, bottom = (tight_box(labels) + (0, 0, 1, 1)).astype(int).tolist()
    part = labels[top:bottom, left:right].reshape(-1)
    areas = np.bincount(part, minlength=len(instances.scores) + 1)[1:]
    median = float(np.median(areas)) * (640 * 480) / labels.size
    if median > settings.max_area_px:
        return None
    room = 1 + 2 * settings.margin
    # Frame pixels that one pixel of the canvas shows, at the first look and at the second.
    first = max(height / canvas_px[0], width / canvas_px[1])
    needed = room * max((bottom - top) / canvas_px[0], (right - left) / canvas_px[1])
    most = min(settings.max_zoom, (settings.target_area_px / median) ** 0.5)
    second = max(needed, first / most)
    if first / second < settings.min_zoom:
        return None
    y, part_height = _interval((top + bottom) / 2, second * canvas_px[0], height)
    x, part_width = _interval((left + right) / 2, second * canvas_px[1], width)
    return RegionSettings(x, y, part_width, part_height)


def _interval(centre: float, length: float, limit: int) -> tuple[int, int]:
    """Start and length of whole pixels around a centre, moved and cut to ``[0, limit)``."""
    size = min(round(length), limit)
    return int(np.clip(round(centre - size / 2), 0, limit - size)), size
