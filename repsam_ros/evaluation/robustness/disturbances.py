"""Ways to make a frame worse, each with one number that says by how much.

All of them act on a frame that a camera has delivered, so what they add comes on top of what that
camera did already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError
from repsam_ros.structures import RgbdFrame

Disturb = Callable[[RgbdFrame, float, np.random.Generator], RgbdFrame]

# Lost depth comes in patches of about this size, as a share of the image's width.
_PATCH = 1 / 40
_GAMMA = 2.2


@dataclass(frozen=True)
class Disturbance:
    """One way to make a frame worse.

    Attributes:
        title: With the unit of the level.
        neutral: Level that changes nothing.
        lowest, highest: Levels that make sense.
        disturb: Takes frame, level and random numbers.
    """

    title: str
    neutral: float
    lowest: float
    highest: float
    disturb: Disturb


def disturbed(frame: RgbdFrame, name: str, level: float, rng: np.random.Generator) -> RgbdFrame:
    """The frame made worse; at the neutral level it is the frame itself."""
    kind = DISTURBANCES[name]
    return frame if level == kind.neutral else kind.disturb(frame, level, rng)


def check_levels(name: str, levels: tuple[float, ...]) -> None:
    """Raises a ConfigError for an unknown disturbance or a level that it does not have."""
    if name not in DISTURBANCES:
        raise ConfigError(f"unknown disturbance {name!r}; there are {', '.join(DISTURBANCES)}")
    kind = DISTURBANCES[name]
    if not levels or not all(kind.lowest <= level <= kind.highest for level in levels):
        raise ConfigError(
            f"{name}: levels must be between {kind.lowest:g} and {kind.highest:g}, got {levels}"
        )


def _lose_depth(frame: RgbdFrame, share: float, rng: np.random.Generator) -> RgbdFrame:
    """Loses this share of the measured pixels, in patches."""
    height, width = frame.depth_m.shape
    measured = frame.depth_m > 0
    count = round(share * int(measured.sum()))
    sigma_px = _PATCH * width / 2
    noise = rng.standard_normal((height, width)).astype(np.float32)
    field = cv2.GaussianBlur(noise, (0, 0), sigma_px)[measured]
    lost = np.zeros(field.size, bool)
    lost[np.argsort(field, kind="stable")[:count]] = True
    depth_m = frame.depth_m.copy()
    depth_m[measured] = np.where(lost, np.float32(0), depth_m[measured])
    return replace(frame, depth_m=depth_m)


def _scatter_depth(frame: RgbdFrame, scale: float, rng: np.random.Generator) -> RgbdFrame:
    """Adds the axial noise of a Kinect, this many times.

    Sigma of Nguyen, Izadi and Lovell, "Modeling Kinect sensor noise for improved 3D
    reconstruction and tracking", 3DIMPVT 2012, without its term for grazing angles.
    """
    depth_m = frame.depth_m
    sigma_m = scale * (0.0012 + 0.0019 * (depth_m - 0.4) ** 2)
    noisy = depth_m + sigma_m * rng.standard_normal(depth_m.shape)
    return replace(frame, depth_m=np.where(depth_m > 0, noisy.clip(min=0), 0).astype(np.float32))


def _change_light(frame: RgbdFrame, factor: float, rng: np.random.Generator) -> RgbdFrame:
    """Multiplies the light by this factor; what is brighter than the sensor can tell is white."""
    light = (np.arange(256) / 255) ** _GAMMA * factor
    table = (255 * light.clip(max=1) ** (1 / _GAMMA)).round().astype(np.uint8)
    return replace(frame, color=table[frame.color])


def _blur(frame: RgbdFrame, sigma_px: float, rng: np.random.Generator) -> RgbdFrame:
    """Blurs colour with a Gaussian; pixels are those of an image 640 wide."""
    scale = frame.color.shape[1] / 640
    blurred = cv2.GaussianBlur(frame.color, (0, 0), sigma_px * scale)
    return replace(frame, color=blurred.astype(np.uint8))


def _scatter_color(frame: RgbdFrame, sigma: float, rng: np.random.Generator) -> RgbdFrame:
    """Adds normal noise of this standard deviation in steps of 8-bit colour."""
    noisy = frame.color + sigma * rng.standard_normal(frame.color.shape)
    return replace(frame, color=_to_bytes(noisy))


def _to_bytes(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return values.round().clip(0, 255).astype(np.uint8)


DISTURBANCES = {
    "depth_lost": Disturbance("share of measured depth that is lost", 0, 0, 1, _lose_depth),
    "depth_noise": Disturbance("noise of depth, times a Kinect's", 0, 0, 100, _scatter_depth),
    "light": Disturbance("light, times that of the frame", 1, 0, 100, _change_light),
    "blur": Disturbance("blur of colour, sigma in px at width 640", 0, 0, 100, _blur),
    "color_noise": Disturbance("noise of colour, sigma of 255", 0, 0, 255, _scatter_color),
}
