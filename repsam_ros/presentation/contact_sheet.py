"""Contact sheets: small pictures side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", np.uint8, np.uint16, np.float32)

TILE_WIDTH_PX = 320


def shrink(image: NDArray[T], *, mixing: bool = False) -> NDArray[T]:
    """(H, W) or (H, W, 3) as wide as a tile.

    Args:
        mixing: Whether pixels are averaged, as in colour, or picked, as in labels and depth.
    """
    height, width = image.shape[:2]
    size = (TILE_WIDTH_PX, max(1, round(height * TILE_WIDTH_PX / width)))
    way = cv2.INTER_AREA if mixing else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, size, interpolation=way), image.dtype)


def join_tiles(tiles: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """One picture of all ``tiles``, row by row, (H, W, 3) RGB; what is left over is white.

    Args:
        tiles: (H, W, 3) RGB, all of one width.
    """
    height, width = max(tile.shape[0] for tile in tiles), tiles[0].shape[1]
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for k, tile in enumerate(tiles):
        top, left = k // columns * height, k % columns * width
        sheet[top : top + tile.shape[0], left : left + width] = tile
    return sheet
