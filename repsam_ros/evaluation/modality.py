"""What of a frame a pipeline gets to see: how much do colour and depth bring by themselves?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from repsam_ros.errors import ConfigError
from repsam_ros.structures import RgbdFrame

RGBD, RGB, DEPTH = "rgbd", "rgb", "depth"
MODALITIES = (RGBD, RGB, DEPTH)
# The grey that stands for lost colour in training too.
_GREY = 115


def check_modality(name: str) -> None:
    """Raises a ConfigError unless ``name`` is one of ``MODALITIES``."""
    if name not in MODALITIES:
        raise ConfigError(f"see must be one of {', '.join(MODALITIES)}, got {name!r}")


def seen(frame: RgbdFrame, modality: str) -> RgbdFrame:
    """The frame with depth unknown everywhere, or with one grey for a colour."""
    if modality == RGB:
        return replace(frame, depth_m=np.zeros_like(frame.depth_m))
    if modality == DEPTH:
        return replace(frame, color=np.full_like(frame.color, _GREY))
    return frame
