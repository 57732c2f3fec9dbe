"""A contact sheet: samples of a data set as small pictures of colour, masks and depth."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.datasets import Sample
from repsam_ros.presentation.depth_colors import color_depth, depth_range
from repsam_ros.presentation.overlay import draw_labels

T = TypeVar("T", np.uint16, np.float32)

_TILE_WIDTH_PX, _TILES_PER_ROW, _CAPTION_PX = 320, 3, 20


def draw_tile(sample: Sample) -> NDArray[np.uint8]:
    """Colour with masks beside depth, with the name above; (H, W, 3) RGB."""
    height, width = sample.labels.shape
    size = (_TILE_WIDTH_PX, max(1, round(height * _TILE_WIDTH_PX / width)))
    color = sample.frame.color.copy()
    color[sample.ignore] //= 2
    small = np.asarray(cv2.resize(color, size, interpolation=cv2.INTER_AREA), np.uint8)
    labels = _nearest(sample.labels, size)
    without_text = {int(k): "" for k in np.unique(labels)}
    masks = draw_labels(small, labels, without_text)
    depth_m = _nearest(sample.frame.depth_m, size)
    pair = np.concatenate((masks, color_depth(depth_m, depth_range(depth_m))), axis=1)
    caption = np.full((_CAPTION_PX, pair.shape[1], 3), 255, np.uint8)
    text = f"{sample.split}: {sample.name}"
    font, place = cv2.FONT_HERSHEY_SIMPLEX, (4, _CAPTION_PX - 6)
    cv2.putText(caption, text, place, font, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate((caption, pair))


def join_tiles(tiles: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """One picture of all ``tiles``, row by row, (H, W, 3) RGB."""
    height = max(tile.shape[0] for tile in tiles)
    columns = min(_TILES_PER_ROW, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * height, columns * 2 * _TILE_WIDTH_PX, 3), 255, np.uint8)
    for k, tile in enumerate(tiles):
        top, left = k // columns * height, k % columns * tile.shape[1]
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet


def _nearest(image: NDArray[T], size: tuple[int, int]) -> NDArray[T]:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST), image.dtype)
