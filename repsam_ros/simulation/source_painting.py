"""Puts textured shapes on a picture, one over the other, and keeps who is seen where."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.simulation.source_shapes import Outline
from repsam_ros.simulation.source_textures import source_texture

# Textures that all pictures draw from; each use has its own colours, size and turn.
TEXTURES = 612
BANK_SEED = 11

Image = NDArray[np.uint8]
Point = NDArray[np.float64]
Matrix = NDArray[np.float64]
Box = tuple[slice, slice]


@dataclass(frozen=True)
class Fill:
    """A texture, how it lies, its shift of colour, and the light and dark of a bulge."""

    texture: int
    texels: Matrix
    recolour: Matrix
    relief: NDArray[np.float32] | None


@dataclass(frozen=True)
class Leaf:
    """A shape that can be put down several times.

    ``shape`` takes the outline to pixels of the leaf's own frame, where prints have their places.
    """

    outline: Outline
    shape: Matrix
    radius_px: float
    fill: Fill
    softness_px: int
    prints: tuple[tuple[Point, Leaf], ...]


@lru_cache(maxsize=TEXTURES)
def _texture(index: int) -> Image:
    return source_texture(BANK_SEED, index)


@dataclass(frozen=True)
class Shadow:
    """How dark shadows are, and where they fall, in radii of the leaf that throws them."""

    strength: float
    reach: Point


@dataclass(frozen=True)
class Pose:
    """Where a leaf lies: its middle in pixels and its turn."""

    place: Point
    rotation: Matrix

    def of_print(self, offset: Point) -> Pose:
        """Where something printed on the leaf lies."""
        return Pose(self.place + self.rotation @ offset, self.rotation)


def _placed(leaf: Leaf, pose: Pose) -> Outline:
    """The outline in pixels of the picture."""
    matrix = leaf.shape.T @ pose.rotation.T
    return [[contour @ matrix + pose.place for contour in part] for part in leaf.outline]


def _box(outline: Outline, margin: int, within: Box) -> Box | None:
    """The part of ``within`` around an outline in pixels; None where they are apart."""
    corners = np.concatenate([contour for part in outline for contour in part])
    left, top = (corners.min(0) - margin).tolist()
    right, bottom = (corners.max(0) + margin).tolist()
    rows = slice(max(int(top), within[0].start), min(int(bottom) + 1, within[0].stop))
    columns = slice(max(int(left), within[1].start), min(int(right) + 1, within[1].stop))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _coverage(outline: Outline, blur_px: int, box: Box) -> Image:
    """(h, w) share of each pixel of the box, 0..255, that an outline in pixels covers."""
    cover = np.zeros((box[0].stop - box[0].start, box[1].stop - box[1].start), np.uint8)
    start = (box[1].start, box[0].start)
    for part in outline:
        corners = [((contour - start) * 16).astype(np.int32) for contour in part]
        cv2.fillPoly(cover, corners, 255, cv2.LINE_AA, 4)
    if blur_px:
        side = 2 * blur_px + 1
        cover = np.asarray(cv2.blur(cover, (side, side)), np.uint8)
    return cover


def _filled(fill: Fill, pose: Pose, box: Box) -> Image:
    """(h, w, 3) colours of the box; the texture turns with the leaf."""
    rows, columns = box
    size = (columns.stop - columns.start, rows.stop - rows.start)
    texels = fill.texels.copy()
    texels[:, :2] = fill.texels[:, :2] @ pose.rotation.T
    texels[:, 2] += texels[:, :2] @ ((columns.start, rows.start) - pose.place)
    image = cv2.warpAffine(
        _texture(fill.texture),
        texels,
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    image = cv2.transform(image, fill.recolour)
    if fill.relief is not None:
        gain = cv2.resize(fill.relief, size, interpolation=cv2.INTER_LINEAR)
        image = cv2.multiply(image, cv2.merge([gain] * 3), dtype=cv2.CV_8U)
    return np.asarray(image, np.uint8)


def _blend(below: Image, above: Image, cover: Image, strength: float = 1.0) -> None:
    """Paints ``above`` over ``below``, in place."""
    weight = cover * np.float32(strength / 255)
    below[:] = cv2.blendLinear(above, below, weight, 1 - weight)


class Painting:
    """A picture in the making: colour, and who is seen where."""

    def __init__(self, backdrop: Fill, shadow: Shadow | None, size: tuple[int, int]) -> None:
        self.shadow = shadow
        self.everything = slice(0, size[0]), slice(0, size[1])
        self.color = _filled(backdrop, Pose(np.zeros(2), np.eye(2)), self.everything)
        self.owner = np.zeros(size, np.uint8)

    def put(self, leaf: Leaf, owner: int, pose: Pose) -> None:
        """Puts a leaf on top; nothing happens where it lies outside the picture."""
        outline = _placed(leaf, pose)
        if self.shadow is not None:
            self._shade(self.shadow, outline, leaf.radius_px)
        box = _box(outline, 2 + leaf.softness_px, self.everything)
        if box is None:
            return
        cover = _coverage(outline, leaf.softness_px, box)
        _blend(self.color[box], _filled(leaf.fill, pose, box), cover)
        for offset, inner in leaf.prints:
            self._print(inner, pose.of_print(offset), cover, box)
        self.owner[box][cover > 127] = owner

    def _print(self, leaf: Leaf, pose: Pose, cover: Image, within: Box) -> None:
        """Paints a leaf where the leaf below it, of this cover, is."""
        outline = _placed(leaf, pose)
        box = _box(outline, 2 + leaf.softness_px, within)
        if box is not None:
            rows, columns = (
                slice(own.start - outer.start, own.stop - outer.start)
                for own, outer in zip(box, within, strict=True)
            )
            printed = np.minimum(_coverage(outline, leaf.softness_px, box), cover[rows, columns])
            _blend(self.color[box], _filled(leaf.fill, pose, box), printed)

    def _shade(self, shadow: Shadow, outline: Outline, radius_px: float) -> None:
        reach, blur_px = shadow.reach * radius_px, int(0.15 * radius_px)
        shifted = [[contour + reach for contour in part] for part in outline]
        box = _box(shifted, 2 + blur_px, self.everything)
        if box is not None:
            below = self.color[box]
            cover = _coverage(shifted, blur_px, box)
            _blend(below, np.zeros_like(below), cover, shadow.strength)
