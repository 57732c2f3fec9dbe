"""From a sample to a picture on the network's canvas, varied at random.

Geometry is varied only where colour, depth, truth and intrinsics stay one consistent view:

- A crop that is scaled up to the canvas is the view of a longer lens; depth does not change.
- A mirrored picture is the view of the mirrored scene, with a mirrored principal point.
- Depth times a factor, with nothing else changed, is the view of the scene grown by that factor
  about the camera: each pixel's ray stays the same. Only sizes and the sensor's noise, which grows
  faster than depth, are no longer quite those of real scenes, so the factor stays near one.

Rotation and stretching are left out: they would need resampled depth or skewed intrinsics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.datasets import Sample
from repsam_ros.errors import ConfigError
from repsam_ros.perception.canvas import fit
from repsam_ros.simulation.views import MAX_OBJECTS
from repsam_ros.structures import UNKNOWN_LABEL, Intrinsics, RgbdFrame

IGNORED = 255
# Of the frame on the canvas: objects that show less are no truth that anyone could ask for.
MIN_VISIBLE_SHARE = 0.0008
_UNKNOWN = np.uint16(UNKNOWN_LABEL)
_GREY = np.array([0.299, 0.587, 0.114])
_GREY_AXIS = np.ones(3) / np.sqrt(3)

Range = tuple[float, float]


class Picture(NamedTuple):
    """One picture on the canvas.

    Attributes:
        color: (H, W, 3) uint8, RGB.
        depth_m: (H, W) float32, 0 = no measurement; None without a depth camera.
        truth: (H, W) uint8, visible instance ids 1..MAX_OBJECTS, 0 = background, ``IGNORED``.
        intrinsics: (4,) float32, fx fy cx cy.
    """

    color: NDArray[np.uint8]
    depth_m: NDArray[np.float32] | None
    truth: NDArray[np.uint8]
    intrinsics: NDArray[np.float32]


@dataclass(frozen=True)
class AugmentationSettings:
    """How far pictures are varied; ranges are uniform, shares are of pictures.

    Attributes:
        zoom: Frame size over crop size.
        flip_share: Mirrored left to right.
        exposure: Factor on colour.
        white_balance: Spread of each channel's own factor around one.
        contrast: Factor on the distance from mid-grey.
        gamma: Exponent of the tone curve.
        saturation: Factor on the distance from grey.
        hue_rad: Largest turn around the grey axis.
        blur_px: Standard deviation of the blur.
        noise: Standard deviation of the noise, of full scale.
        jpeg_share: Compressed as JPEG.
        jpeg_quality: Of these.
        depth_scale: Factor on depth.
        hole_share: With depth lost in patches of irregular outline.
        block_share: With depth lost in rectangles.
        depth_loss_share: Without any depth. Zero, because the trainer drops depth or colour
            itself, never both.

    Raises:
        ConfigError: A range is reversed, a share is no share or a zoom is below one.
    """

    zoom: Range = (1.0, 1.6)
    flip_share: float = 0.5
    exposure: Range = (0.7, 1.4)
    white_balance: float = 0.08
    contrast: Range = (0.75, 1.3)
    gamma: Range = (0.75, 1.35)
    saturation: Range = (0.4, 1.4)
    hue_rad: float = 0.15
    blur_px: Range = (0.0, 1.2)
    noise: Range = (0.0, 0.03)
    jpeg_share: float = 0.2
    jpeg_quality: Range = (35.0, 90.0)
    depth_scale: Range = (0.9, 1.1)
    hole_share: float = 0.3
    block_share: float = 0.2
    depth_loss_share: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ConfigError(f"{name}: {value[0]} is larger than {value[1]}")
            if name.endswith("_share") and not 0 <= value <= 1:
                raise ConfigError(f"{name} must lie in 0..1, got {value}")
        if self.zoom[0] < 1:
            raise ConfigError(f"zoom must be at least 1, got {self.zoom[0]}")


def varied_picture(
    sample: Sample,
    canvas_px: tuple[int, int],
    settings: AugmentationSettings,
    rng: np.random.Generator,
) -> Picture:
    """The picture of a sample on the canvas, varied by ``rng``."""
    picture, inner = _on_canvas(_random_crop(sample, settings, rng), canvas_px)
    rows, columns = slice(0, inner[0]), slice(0, inner[1])
    if rng.random() < settings.flip_share:
        picture = _mirrored(picture, inner[1])
    if picture.depth_m is not None:
        picture.depth_m[rows, columns] = vary_depth(picture.depth_m[rows, columns], settings, rng)
    picture.color[rows, columns] = vary_color(picture.color[rows, columns], settings, rng)
    return picture


def plain_picture(sample: Sample, canvas_px: tuple[int, int]) -> Picture:
    """The picture of a sample on the canvas, as it is."""
    return _on_canvas(sample, canvas_px)[0]


def _random_crop(
    sample: Sample, settings: AugmentationSettings, rng: np.random.Generator
) -> Sample:
    """A part of the frame of its own aspect; nothing is resampled or copied."""
    frame = sample.frame
    height, width = frame.depth_m.shape
    zoom = rng.uniform(*settings.zoom)
    rows, columns = max(1, round(height / zoom)), max(1, round(width / zoom))
    top = int(rng.integers(height - rows + 1))
    left = int(rng.integers(width - columns + 1))
    part = slice(top, top + rows), slice(left, left + columns)
    camera = frame.intrinsics
    moved = Intrinsics(camera.fx, camera.fy, camera.cx - left, camera.cy - top, columns, rows)
    cropped = RgbdFrame(frame.color[part], frame.depth_m[part], moved)
    return Sample(sample.name, cropped, sample.labels[part], sample.ignore[part])


def _on_canvas(sample: Sample, canvas_px: tuple[int, int]) -> tuple[Picture, tuple[int, int]]:
    """The picture, and (height, width) of the part of the canvas that the frame covers."""
    canvas = fit(sample.frame, canvas_px)
    height, width = canvas.inner_px
    marked = np.where(sample.ignore, _UNKNOWN, sample.labels)
    inner = cv2.resize(marked, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    truth = np.zeros(canvas_px, np.uint8)
    truth[:height, :width] = renumbered(np.asarray(inner, np.uint16))
    picture = Picture(canvas.color, canvas.depth_m, truth, canvas.intrinsics.values)
    return picture, canvas.inner_px


def renumbered(labels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Truth from (H, W) labels of which 65535 is unknown.

    The objects that show most get 1..MAX_OBJECTS, largest first; slivers and further objects are
    ignored.
    """
    area = np.bincount(labels.ravel(), minlength=int(_UNKNOWN) + 1)
    objects = np.flatnonzero(area)
    objects = objects[(objects > 0) & (objects < _UNKNOWN)]
    objects = objects[np.argsort(-area[objects], kind="stable")]
    kept = objects[area[objects] >= MIN_VISIBLE_SHARE * labels.size][:MAX_OBJECTS]
    names = np.full(len(area), IGNORED, np.uint8)
    names[0] = 0
    names[kept] = np.arange(1, len(kept) + 1)
    return names[labels]


def _mirrored(picture: Picture, inner_width: int) -> Picture:
    """Left and right change places within the part that the frame covers."""

    def mirror(plane: NDArray[np.generic]) -> None:
        plane[:, :inner_width] = plane[:, :inner_width][:, ::-1].copy()

    mirror(picture.color)
    mirror(picture.truth)
    if picture.depth_m is not None:
        mirror(picture.depth_m)
    intrinsics = picture.intrinsics.copy()
    intrinsics[2] = inner_width - 1 - intrinsics[2]
    return picture._replace(intrinsics=intrinsics)


def vary_color(
    color: NDArray[np.uint8], settings: AugmentationSettings, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """(H, W, 3) as another light, another cheap camera and another encoder would give it."""
    image = cv2.transform(color, _color_matrix(settings, rng))
    image = cv2.LUT(image, _tone_curves(settings, rng))
    blur = rng.uniform(*settings.blur_px)
    if blur > 0.3:  # a narrower Gaussian leaves 8-bit pixels as they are
        image = cv2.GaussianBlur(image, (0, 0), blur)
    noise = 255 * rng.uniform(*settings.noise)
    if noise > 0.5:
        grain = rng.standard_normal(color.shape, np.float32)
        image = cv2.addWeighted(image, 1.0, grain, noise, 0.0, dtype=cv2.CV_8U)
    if rng.random() < settings.jpeg_share:
        quality = int(rng.uniform(*settings.jpeg_quality))
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return np.asarray(image, np.uint8)


def _color_matrix(settings: AugmentationSettings, rng: np.random.Generator) -> NDArray[np.float64]:
    """(3, 3): saturation towards the grey of the same brightness, and hue (Rodrigues' formula)."""
    saturation = rng.uniform(*settings.saturation)
    towards_grey = saturation * np.eye(3) + (1 - saturation) * np.outer(np.ones(3), _GREY)
    angle = rng.uniform(-settings.hue_rad, settings.hue_rad)
    x, y, z = _GREY_AXIS
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return np.asarray(turn @ towards_grey, np.float64)


def _tone_curves(settings: AugmentationSettings, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(256, 1, 3) exposure, white balance, contrast and gamma in one look-up."""
    spread = settings.white_balance
    gain = rng.uniform(*settings.exposure) * rng.uniform(1 - spread, 1 + spread, 3)
    level = np.linspace(0, 1, 256)[:, None, None] * gain
    level = (level - 0.5) * rng.uniform(*settings.contrast) + 0.5
    level = np.clip(level, 0, 1) ** rng.uniform(*settings.gamma)
    return np.rint(level * 255).astype(np.uint8)


def vary_depth(
    depth_m: NDArray[np.float32], settings: AugmentationSettings, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(H, W) depth of a grown or shrunk scene, with parts of it lost."""
    height, width = depth_m.shape
    result = depth_m * np.float32(rng.uniform(*settings.depth_scale))
    if rng.random() < settings.hole_share:
        cells = rng.random((int(rng.integers(4, 16)), int(rng.integers(4, 20))), np.float32)
        smooth = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
        result[smooth > rng.uniform(0.75, 0.98)] = 0
    if rng.random() < settings.block_share:
        for _ in range(int(rng.integers(1, 5))):
            rows, columns = (rng.uniform(0.02, 0.25, 2) * (height, width)).astype(int)
            top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
            result[top : top + rows, left : left + columns] = 0
    if rng.random() < settings.depth_loss_share:
        result[:] = 0
    return result
