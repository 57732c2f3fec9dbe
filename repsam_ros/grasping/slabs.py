"""What a closing hand would hold, and how its two contacts look.

The slab that the fingers sweep as they close is cut out of the object; the part of it that holds
the sampled point, up to a gap that a finger fits into, is what the hand would hold (so a rim or a
handle is found on an object that is too wide as a whole). Points above the finger tips count
whatever their height: a front face without the top that hides its back is never taken for a thin
sheet by an approach from above. The two extremal patches of the part are the contacts.
"""

from __future__ import annotations

from dataclasses import dataclass

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

    def take(self, keep: NDArray[np.intp]) -> Hands:
        return Hands(self.rotation[keep], self.sample[keep], self.tip_m[keep])

    def thinned(self, step: int) -> Hands:
        """The same hands on a surface of every ``step``-th point."""
        return Hands(self.rotation, self.sample // step, self.tip_m)


@dataclass(frozen=True)
class Surface:
    """An object's points, about some origin, and the orientations in which it is looked at.

    Attributes:
        points_m: (N, 3) float32.
        normals: (N, 3) float32.
        axes: (Q, 3, 3) float32 rows x, y, z of the grasp frame.
    """

    points_m: NDArray[np.float32]
    normals: NDArray[np.float32]
    axes: NDArray[np.float32]

    def thinned(self, step: int) -> Surface:
        return Surface(self.points_m[::step], self.normals[::step], self.axes)


@dataclass(frozen=True)
class _Slabs:
    """Points in the slabs of hands; slabs of hands that differ in their reach alone are one.

    Attributes:
        point: (E,) number of each point.
        rotation: (E,) its slab's orientation.
        across_m: (E,) position across the fingers (along x), from the sample.
        along_m: (E,) position along the closing axis, from the sample.
        below_m: (E,) position along the approach, from the sample.
    """

    point: NDArray[np.intp]
    rotation: NDArray[np.intp]
    across_m: NDArray[np.float32]
    along_m: NDArray[np.float32]
    below_m: NDArray[np.float32]


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


def held_parts(
    surface: Surface, hands: Hands, settings: SearchSettings, *, rough: bool = False
) -> tuple[Parts, Contact, Contact]:
    """The held parts and their contacts on the lower and upper end of the closing axis.

    Args:
        rough: The surface is thinned: a point or two are a patch, and it is taken for granted
            that a surface ends where its seen part ends.
    """
    slabs, hand, entry = _cut(surface, hands, settings, 0.0 if rough else _BEYOND_M)
    held = slabs.below_m.take(entry) <= hands.tip_m.astype(np.float32).take(hand)
    inside, beyond = np.flatnonzero(held), np.flatnonzero(~held)
    beyond_hand, beyond_m = hand.take(beyond), slabs.along_m.take(entry.take(beyond))
    hand, entry = _connected(slabs, hand.take(inside), entry.take(inside), len(hands), settings)
    along_m, across_m = slabs.along_m.take(entry), slabs.across_m.take(entry)
    part = _part_of(hand, along_m, slabs.below_m.take(entry))
    span_m = _span_m(across_m, hand)
    contacts = []
    for sign, end_m in ((-1, part.low_m), (1, part.high_m)):
        end_m = end_m.astype(np.float32)
        patch = np.flatnonzero(sign * (end_m.take(hand) - along_m) <= _PATCH_M)
        outside_m = sign * (beyond_m - end_m.take(beyond_hand))
        under = (outside_m > 0) & (outside_m < gap_m(settings))
        goes_on = np.bincount(beyond_hand[under], minlength=len(hands))
        owner = hand.take(patch)
        square = _span_m(across_m.take(patch), owner) / np.maximum(span_m, 1e-6)
        ends = (goes_on < _SURFACE_GOES_ON_POINTS) & (square >= _SQUARE_SHARE)
        facing = sign * _facing(surface, slabs, entry.take(patch))
        least = 1 if rough else _FULL_PATCH_POINTS
        contacts.append(_contact(owner, facing, square * ends, least, settings))
    return part, contacts[0], contacts[1]


def gap_m(settings: SearchSettings) -> float:
    """Width of a gap that a finger fits into, with half of its usual room."""
    return settings.gripper.finger_thickness_m + settings.finger_clearance_m


def _cut(
    surface: Surface, hands: Hands, settings: SearchSettings, beyond_m: float
) -> tuple[_Slabs, NDArray[np.intp], NDArray[np.intp]]:
    """The slabs, and which of their entries each hand holds or has within ``beyond_m`` below.

    Returns:
        The slabs, and of all hands, one after the other, pairs of a hand and an entry.
    """
    places = len(surface.points_m)
    slab, slab_of = np.unique(hands.rotation * places + hands.sample, return_inverse=True)
    rotation, sample = np.divmod(slab, places)
    tip_m = hands.tip_m.astype(np.float32) + np.float32(beyond_m)
    deepest_m = np.full(len(slab), -np.inf, np.float32)
    np.maximum.at(deepest_m, slab_of, tip_m)
    slabs, row = _slabs(surface, rotation, sample, deepest_m, settings)
    counts = np.bincount(row, minlength=len(slab))
    mine = counts.take(slab_of)
    shift = (np.cumsum(counts) - counts).take(slab_of) - (np.cumsum(mine) - mine)
    hand = np.repeat(np.arange(len(hands)), mine)
    entry = np.arange(len(hand)) + shift.take(hand)
    kept = np.flatnonzero(slabs.below_m.take(entry) <= tip_m.take(hand))
    return slabs, hand.take(kept), entry.take(kept)


def _slabs(
    surface: Surface,
    rotation: NDArray[np.intp],
    sample: NDArray[np.intp],
    deepest_m: NDArray[np.float32],
    settings: SearchSettings,
) -> tuple[_Slabs, NDArray[np.intp]]:
    """Points beside samples down to some depth, and the (E,) slab of each."""
    # A part that is not too wide, and the gap that ends it, lie within this reach.
    reach_m = np.float32(settings.max_width_m + gap_m(settings))
    half_m = np.float32(settings.gripper.finger_width_m / 2)
    places, count = len(surface.points_m), len(rotation)
    local_m = surface.axes[rotation].reshape(-1, 3) @ surface.points_m.T
    origin_m = local_m.reshape(count, 3, places)[np.arange(count), :, sample]
    across_m = local_m[::3] - origin_m[:, :1]
    inside = np.flatnonzero(np.abs(across_m) <= half_m)
    row = inside // places
    at = inside + (2 * places) * row  # in local_m
    along_m = local_m.take(at + places) - origin_m[:, 1].take(row)
    below_m = local_m.take(at + 2 * places) - origin_m[:, 2].take(row)
    near = np.flatnonzero((np.abs(along_m) < reach_m) & (below_m <= deepest_m.take(row)))
    inside, row = inside.take(near), row.take(near)
    return _Slabs(
        inside - row * places,
        rotation.take(row),
        across_m.reshape(-1).take(inside),
        along_m.take(near),
        below_m.take(near),
    ), row


def _facing(surface: Surface, slabs: _Slabs, entry: NDArray[np.intp]) -> NDArray[np.float32]:
    """(P,) cosines between the normals of entries and the closing axis."""
    normals = surface.normals.take(slabs.point.take(entry), axis=0)
    closing = surface.axes[:, 1].take(slabs.rotation.take(entry), axis=0)
    facing: NDArray[np.float32] = np.einsum("pd,pd->p", normals, closing)
    return facing


def _connected(
    slabs: _Slabs,
    hand: NDArray[np.intp],
    entry: NDArray[np.intp],
    count: int,
    settings: SearchSettings,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pairs whose entry belongs to the same part as the sample of their hand."""
    reach_m = settings.max_width_m + gap_m(settings)
    bins = int(np.ceil(2 * reach_m / _BIN_M))
    column = ((slabs.along_m + np.float32(reach_m)) * np.float32(1 / _BIN_M)).astype(np.intp)
    column = np.clip(column, 0, bins - 1).take(entry)
    occupied = np.zeros(count * bins, bool)
    occupied[hand * bins + column] = True
    centre, gap = int(reach_m / _BIN_M), max(1, round(gap_m(settings) / _BIN_M))
    left, right = _runs(occupied.reshape(count, bins), centre, gap)
    kept = np.flatnonzero((column >= left.take(hand)) & (column <= right.take(hand)))
    return hand.take(kept), entry.take(kept)


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


def _part_of(
    hand: NDArray[np.intp], along_m: NDArray[np.float32], below_m: NDArray[np.float32]
) -> Parts:
    starts = np.flatnonzero(np.diff(hand, prepend=-1))
    if not len(starts):
        none = np.zeros(0)
        return Parts(none, none, none, np.zeros(0, np.intp))
    return Parts(
        np.minimum.reduceat(along_m, starts).astype(np.float64),
        np.maximum.reduceat(along_m, starts).astype(np.float64),
        np.minimum.reduceat(below_m, starts).astype(np.float64),
        np.diff(starts, append=len(hand)),
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
    least: int,
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
        least: Number of points below which a patch gives less than a full grip.
    """
    count = len(square)
    none, full = np.cos(np.arctan(settings.friction) + _BLUR_RAD), np.cos(_BLUR_RAD)
    grip = np.clip((facing - none) / (full - none), 0, 1)
    sizes = np.maximum(np.bincount(hand, minlength=count), 1)
    needed = np.maximum(sizes / 2, least)
    ridge = np.bincount(hand, np.abs(facing) < _RIDGE_COSINE, minlength=count) / sizes
    sheet = np.bincount(hand, facing < -_RIDGE_COSINE, minlength=count) / sizes
    return Contact(
        np.minimum(np.bincount(hand, grip, minlength=count) / needed, 1),
        ridge * square,
        sheet * square,
    )
