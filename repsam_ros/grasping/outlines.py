"""Roughly what closing hands would hold, for all hands of an object at once.

As :mod:`repsam_ros.grasping.slabs`, on a few of the object's points. The slab that the fingers
sweep is a row of cells along the closing axis, of which the held part is a run; hands that differ
in their reach alone are layers of one row. A contact is the last two cells, and a point or two
are enough for it. It is taken for granted that a surface ends where its seen part ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from repsam_ros.grasping.settings import SearchSettings
from repsam_ros.grasping.slabs import (
    Contact,
    Parts,
    Surface,
    extents_m,
    first_of_each,
    gap_m,
    lengths,
    patch_contact,
    reduced,
)

_CELL_M = 0.004
# The cells of a row and of the gap after it are the bits of one integer.
_SIDE_CELLS, _GAP_CELLS = 24, 8
_PATCH_CELLS = 2
# No cell is as far from another.
_NOWHERE = np.uint8(128)


def outlined_parts(
    surface: Surface,
    rotation: NDArray[np.intp],
    sample: NDArray[np.intp],
    tips_m: NDArray[np.float64],
    wanted: NDArray[np.bool_],
    settings: SearchSettings,
) -> tuple[NDArray[np.intp], Parts, Contact, Contact]:
    """What L x R hands would hold, and the contacts on both ends.

    Args:
        surface: Of a few points.
        rotation: (R,) orientation of each row.
        sample: (R,) point that the hands of a row start from.
        tips_m: (L, R) reaches beyond that point, above 0 and in rising order.
        wanted: (L, R) which hands to look at.

    Returns:
        The (H,) numbers, layer by layer, of those whose part is not too wide; their parts and
        contacts.
    """
    cell_m = max(_CELL_M, settings.max_width_m / _SIDE_CELLS, gap_m(settings) / _GAP_CELLS)
    side, gap = int(np.ceil(settings.max_width_m / cell_m)) + 1, round(gap_m(settings) / cell_m)
    tips_m = tips_m.astype(np.float32)
    local = surface.seen_from(rotation, sample)
    entry, row = local.beside((side + 0.5) * cell_m, tips_m[-1], settings)
    along = local.along_m.take(entry) * np.float32(1 / cell_m)
    cell = (along + np.float32(side + 0.5)).astype(np.uint8)
    across_m, below_m = local.across_m.take(entry), local.below_m.take(entry)
    held = below_m <= tips_m.take(row, axis=1)  # (L, E)
    low, high = _ends(row, cell, held, side, max(1, gap))
    fits = high - low < np.uint8(settings.max_width_m / cell_m + 1e-6)
    # Unsigned: what lies before the end of a part is far beyond it, too.
    from_low = cell - np.where(wanted & fits, low, _NOWHERE).take(row, axis=1)
    from_high = high.take(row, axis=1) - cell
    at = np.flatnonzero(held & (from_low < _NOWHERE) & (from_high < _NOWHERE))
    layers = np.arange(len(tips_m))[:, None]
    hand = (row + layers * len(sample)).ravel().take(at)
    of_part = np.tile(np.arange(len(row)), len(tips_m)).take(at)
    starts = first_of_each(hand)
    number, across_m = hand.take(starts), across_m.take(of_part)
    part = Parts(
        (low.take(number) - (side + 0.5)) * cell_m,
        (high.take(number) - (side - 0.5)) * cell_m,
        reduced(np.minimum, below_m.take(of_part), starts),
        lengths(starts, len(at)),
    )
    span_m, facing = extents_m(across_m, starts), local.facing.take(entry.take(of_part))
    contacts = []
    for sign, inwards in ((-1, from_low), (1, from_high)):
        patch = np.flatnonzero(inwards.take(at) < _PATCH_CELLS)
        patch_starts = first_of_each(hand.take(patch))
        outward = np.float32(sign) * facing.take(patch)
        contacts.append(
            patch_contact(patch_starts, outward, across_m.take(patch), span_m, 1, settings)
        )
    return number, part, contacts[0], contacts[1]


def _ends(
    row: NDArray[np.intp],
    cell: NDArray[np.uint8],
    held: NDArray[np.bool_],
    side: int,
    gap: int,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(L, R) first and last cell of the run round the middle one; ``gap`` free cells end it.

    Args:
        row: (E,) row of each entry, in order; every row holds its middle cell.
        cell: (E,) its cell.
        held: (L, E) whether it is in a layer.
        side: The middle cell.
    """
    starts = first_of_each(row)
    if not len(starts):
        nobody = np.zeros((len(held), 0), np.uint8)
        return nobody, nobody
    bits = np.left_shift(1, cell.astype(np.int64))
    filled = np.bitwise_or.reduceat(bits * held, starts, axis=1)
    occupied = filled
    for step in range(1, gap):
        filled = filled | occupied << step
    after = ~(filled >> side)
    before = ~filled & ((1 << side) - 1)
    low, high = _highest_bit(before) + 1, _highest_bit(after & -after) + side - gap
    return low.astype(np.uint8), high.astype(np.uint8)


def _highest_bit(numbers: NDArray[np.int64]) -> NDArray[np.int32]:
    """Of numbers below 2^53 or powers of two; -1 for 0."""
    exponents: NDArray[np.int32] = np.frexp(numbers.astype(np.float64))[1]
    return exponents - 1
