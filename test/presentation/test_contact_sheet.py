"""Small pictures, and how they are put together."""

from __future__ import annotations

import numpy as np

from repsam_ros.presentation.contact_sheet import TILE_WIDTH_PX, join_tiles, shrink


def test_labels_are_picked_and_colours_are_mixed() -> None:
    labels = np.zeros((480, 640), np.uint16)
    labels[:, ::2] = 300
    small = shrink(labels)
    assert small.shape == (240, TILE_WIDTH_PX) and small.dtype == np.uint16
    assert set(np.unique(small)) <= {0, 300}
    stripes = np.zeros((480, 640, 3), np.uint8)
    stripes[:, ::2] = 200
    np.testing.assert_array_equal(shrink(stripes, mixing=True), 100)


def test_tiles_stand_row_by_row_and_the_rest_is_white() -> None:
    tiles = [np.full((height, 4, 3), k, np.uint8) for k, height in enumerate((6, 5, 6))]
    sheet = join_tiles(tiles, columns=2)
    assert sheet.shape == (12, 8, 3)
    np.testing.assert_array_equal(sheet[:6, :4], tiles[0])
    np.testing.assert_array_equal(sheet[:5, 4:], tiles[1])
    np.testing.assert_array_equal(sheet[6:, :4], tiles[2])
    assert (sheet[5, 4:] == 255).all() and (sheet[6:, 4:] == 255).all()
