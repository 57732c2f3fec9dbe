"""What a closing hand would hold, and how its two contacts look.

The slab that the fingers sweep as they close is cut out of the object; the part of it that holds
the sampled point, up to a gap that a finger fits into, is what the hand would hold (so a rim or a
handle is found on an object that is too wide as a whole). Points above the finger tips count
whatever their height: a front face without the top that hides its back is never taken for a thin
sheet by an approach from above. The two extremal patches of the part are the contacts.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from repsam_ros.grasping.settings import SearchSettings

_BIN_M = 0.004
_PATCH_M = 0.005
_BEYOND_M = 0.015
_BLUR_RAD = 0.175
_FULL_PATCH_POINTS = 4
_RIDGE_COSINE = 0.5
_SURFACE_GOES_ON_POINTS = 2
_SQUARE_SHARE = 0.6


@dataclass(frozen=True)
class Hands:
    """H hands to try on one object.

    Attributes:
        rotation: (H,) index of the orientation.
        sample: (H,) index of the surface point that the hand starts from.
        tip_m: (H,) reach of the finger tips beyond that point, along the approach.
    """

    rotation: NDArray[np.intp]
    sample: NDArray[np.intp]
    tip_m: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.tip_m)

    def take(self, keep: NDArray[np.bool_]) -> Hands:
        return Hands(self.rotation[keep], self.sample[keep], self.tip_m[keep])


@dataclass(frozen=True)
class Surface:
    """An object's points in the axes of each of Q orientations, about one common origin.

    Attributes:
        local_m: (Q, 3, N) float32 coordinates.
        facing: (Q, N) float32 cosines between normals and the closing axis.
    """

    local_m: NDArray[np.float32]
    facing: NDArray[np.float32]

    def thinned(self, step: int) -> Surface:
        return Surface(self.local_m[..., ::step], self.facing[..., ::step])


@dataclass(frozen=True)
class _Slabs:
    """Points in the slabs of hands; entries are sorted by hand.

    Attributes:
        hand: (E,) hand of each entry.
        across_m: (E,) position across the fingers (along x), from the sample.
        along_m: (E,) position along the closing axis, from the sample.
        below_m: (E,) position along the approach, from the sample.
        facing: (E,) cosine between the point's normal and the closing axis.
        held: (E,) False for points that lie a little beyond the finger tips.
    """

    hand: NDArray[np.intp]
    across_m: NDArray[np.float32]
    along_m: NDArray[np.float32]
    below_m: NDArray[np.float32]
    facing: NDArray[np.float32]
    held: NDArray[np.bool_]

    def take(self, keep: NDArray[np.bool_]) -> _Slabs:
        index = np.flatnonzero(keep)
        return _Slabs(*(getattr(self, item.name)[index] for item in fields(self)))


@dataclass(frozen=True)
class Contact:
    """Evidence at one extremal patch of each of H hands, (H,) each in [0, 1].

    Attributes:
        grip: How well the normals of the patch let a finger hold it.
        ridge: Share of the patch that faces away from the finger, less the less squarely to
            the finger the surface ends there, 0 when it goes on: beyond a square edge it may
            turn towards the finger unseen. What is neither is a slope or a corner that a
            finger slides off.
        sheet: Likewise, share of the patch that is the back of what faces the other finger: a
            thin wall, if the space on this side is free.
    """

    grip: NDArray[np.float64]
    ridge: NDArray[np.float64]
    sheet: NDArray[np.float64]

    def take(self, keep: NDArray[np.bool_]) -> Contact:
        return Contact(self.grip[keep], self.ridge[keep], self.sheet[keep])


@dataclass(frozen=True)
class Parts:
    """The held parts of H hands, (H,) each; lengths are from the sample.

    Attributes:
        low_m: Least position along the closing axis.
        high_m: Greatest position along the closing axis.
        top_m: Least position along the approach.
        count: Number of points.
    """

    low_m: NDArray[np.float64]
    high_m: NDArray[np.float64]
    top_m: NDArray[np.float64]
    count: NDArray[np.intp]

    def take(self, keep: NDArray[np.bool_]) -> Parts:
        return Parts(*(getattr(self, item.name)[keep] for item in fields(self)))


def rough_parts(surface: Surface, hands: Hands, settings: SearchSettings) -> Parts:
    """The held parts alone; every sample must be a point of the surface."""
    slabs = _cut(surface, hands, settings, beyond_m=0.0)
    return _part_of(_connected(slabs, len(hands), settings))


def held_parts(
    surface: Surface, hands: Hands, settings: SearchSettings
) -> tuple[Parts, Contact, Contact]:
    """The held parts and their contacts on the lower and upper end of the closing axis."""
    every = _cut(surface, hands, settings, beyond_m=_BEYOND_M)
    slabs = _connected(every.take(every.held), len(hands), settings)
    part = _part_of(slabs)
    beyond = np.flatnonzero(~every.held)
    beyond_m, beyond_hand = every.along_m[beyond], every.hand[beyond]
    span_m = _span_m(slabs.across_m, slabs.hand)
    contacts = []
    for sign, end_m in ((-1, part.low_m), (1, part.high_m)):
        inside_m = sign * (end_m[slabs.hand] - slabs.along_m)
        patch = np.flatnonzero(inside_m <= _PATCH_M)
        hand = slabs.hand[patch]
        outside_m = sign * (beyond_m - end_m[beyond_hand])
        under = (outside_m > 0) & (outside_m < gap_m(settings))
        goes_on = np.bincount(beyond_hand[under], minlength=len(hands))
        square = _span_m(slabs.across_m[patch], hand) / np.maximum(span_m, 1e-6)
        ends = (goes_on < _SURFACE_GOES_ON_POINTS) & (square >= _SQUARE_SHARE)
        contacts.append(_contact(hand, sign * slabs.facing[patch], square * ends, settings))
    return part, contacts[0], contacts[1]


def gap_m(settings: SearchSettings) -> float:
    """Width of a gap that a finger fits into, with half of its usual room."""
    return settings.gripper.finger_thickness_m + settings.finger_clearance_m


def _cut(surface: Surface, hands: Hands, settings: SearchSettings, beyond_m: float) -> _Slabs:
    # A part that is not too wide, and the gap that ends it, lie within this reach.
    reach_m = np.float32(settings.max_width_m + gap_m(settings))
    half_m = np.float32(settings.gripper.finger_width_m / 2)
    # Hands that differ in their reach alone share a slab.
    places = surface.local_m.shape[2]
    slab, slab_of = np.unique(hands.rotation * places + hands.sample, return_inverse=True)
    rotation, sample = np.divmod(slab, places)
    inside = (
        np.abs(surface.local_m[rotation, 0] - surface.local_m[rotation, 0, sample, None]) <= half_m
    )
    row, point = np.divmod(np.flatnonzero(inside), places)
    origin_m = surface.local_m[rotation, :, sample]
    along_m = surface.local_m[rotation[row], 1, point] - origin_m[row, 1]
    near = np.flatnonzero(np.abs(along_m) < reach_m)
    row, point, along_m = row[near], point[near], along_m[near]
    across_m, below_m = (
        surface.local_m[rotation[row], axis, point] - origin_m[row, axis] for axis in (0, 2)
    )
    facing = surface.facing[rotation[row], point]
    # Each hand gets a copy of the entries of its slab.
    counts = np.bincount(row, minlength=len(slab))
    starts = np.cumsum(counts) - counts
    mine = counts[slab_of]
    hand = np.repeat(np.arange(len(hands)), mine)
    entry = np.arange(len(hand)) + np.repeat(starts[slab_of] - (np.cumsum(mine) - mine), mine)
    below_m, tip_m = below_m[entry], hands.tip_m.astype(np.float32)[hand]
    kept = np.flatnonzero(below_m <= tip_m + np.float32(beyond_m))
    hand, entry, below_m, tip_m = hand[kept], entry[kept], below_m[kept], tip_m[kept]
    return _Slabs(hand, across_m[entry], along_m[entry], below_m, facing[entry], below_m <= tip_m)


def _connected(slabs: _Slabs, count: int, settings: SearchSettings) -> _Slabs:
    """The entries that belong to the same part as the sample of their hand."""
    reach_m = settings.max_width_m + gap_m(settings)
    bins = int(np.ceil(2 * reach_m / _BIN_M))
    column = ((slabs.along_m + np.float32(reach_m)) * np.float32(1 / _BIN_M)).astype(np.intp)
    column = np.clip(column, 0, bins - 1)
    occupied = np.bincount(slabs.hand * bins + column, minlength=count * bins) > 0
    centre, gap = int(reach_m / _BIN_M), max(1, round(gap_m(settings) / _BIN_M))
    left, right = _runs(occupied.reshape(count, bins), centre, gap)
    return slabs.take((column >= left[slabs.hand]) & (column <= right[slabs.hand]))


def _runs(
    occupied: NDArray[np.bool_], centre: int, gap: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and last bin of the run round ``centre`` in each row; ``gap`` free bins end a run."""
    rows, bins = occupied.shape
    total = np.zeros((rows, bins + 2 * gap + 1), np.int16)
    np.cumsum(occupied, axis=1, dtype=np.int16, out=total[:, gap + 1 : gap + 1 + bins])
    total[:, gap + 1 + bins :] = total[:, gap + bins, None]
    free = total[:, gap:] == total[:, :-gap]
    right = np.argmax(free[:, centre + 1 + gap :], axis=1) + centre
    left = centre - np.argmax(free[:, centre::-1], axis=1)
    return left, right


def _part_of(slabs: _Slabs) -> Parts:
    starts = np.flatnonzero(np.diff(slabs.hand, prepend=-1))
    if not len(starts):
        none = np.zeros(0)
        return Parts(none, none, none, np.zeros(0, np.intp))
    return Parts(
        np.minimum.reduceat(slabs.along_m, starts).astype(np.float64),
        np.maximum.reduceat(slabs.along_m, starts).astype(np.float64),
        np.minimum.reduceat(slabs.below_m, starts).astype(np.float64),
        np.diff(starts, append=len(slabs.hand)),
    )


def _span_m(values_m: NDArray[np.float32], hand: NDArray[np.intp]) -> NDArray[np.float32]:
    """(H,) extent of the values of each hand; every hand has some and they are in order."""
    starts = np.flatnonzero(np.diff(hand, prepend=-1))
    if not len(starts):
        return np.zeros(0, np.float32)
    extent: NDArray[np.float32] = np.maximum.reduceat(values_m, starts)
    return extent - np.minimum.reduceat(values_m, starts)


def _contact(
    hand: NDArray[np.intp],
    facing: NDArray[np.float32],
    square: NDArray[np.floating],
    settings: SearchSettings,
) -> Contact:
    """What the points of a patch say, from the cosines between normals and outward direction.

    Grip falls from full, facing the finger, to about half at the edge of the friction cone and
    none 10 degrees outside, as normals are noisy. Half of a patch is enough for a grip, since it
    also holds the rim of the face above.

    Args:
        hand: (P,) hand of each point of a patch.
        facing: (P,) their cosines.
        square: (H,) how squarely to the finger the surface ends at the patch, 0 to 1.
    """
    count = len(square)
    none, full = np.cos(np.arctan(settings.friction) + _BLUR_RAD), np.cos(_BLUR_RAD)
    grip = np.clip((facing - none) / (full - none), 0, 1)
    sizes = np.maximum(np.bincount(hand, minlength=count), 1)
    needed = np.maximum(sizes / 2, _FULL_PATCH_POINTS)
    ridge = np.bincount(hand, np.abs(facing) < _RIDGE_COSINE, minlength=count) / sizes
    sheet = np.bincount(hand, facing < -_RIDGE_COSINE, minlength=count) / sizes
    return Contact(
        np.minimum(np.bincount(hand, grip, minlength=count) / needed, 1),
        ridge * square,
        sheet * square,
    )
