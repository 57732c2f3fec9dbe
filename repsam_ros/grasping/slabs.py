"""What a closing hand would hold, and how its two contacts look.

The slab that the fingers sweep as they close is cut out of the object; the part of it that holds
the sampled point, up to a gap that a finger fits into, is what the hand would hold (so a rim or a
handle is found on an object that is too wide as a whole). Points above the finger tips count
whatever their height: a front face without the top that hides its back is never taken for a thin
sheet by an approach from above. The two extremal patches of the part are the contacts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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


@dataclass(frozen=True)
class Surface:
    """An object's points, about some origin, and the orientations in which it is looked at.

    Attributes:
        points_m: (N, 3) float32.
        normals: (N, 3) float32.
        axes: (3, Q, 3) float32 axes x, y, z of the grasp frame.
    """

    points_m: NDArray[np.float32]
    normals: NDArray[np.float32]
    axes: NDArray[np.float32]

    def thinned(self, step: int) -> Surface:
        return Surface(self.points_m[::step], self.normals[::step], self.axes)

    def seen_from(self, rotation: NDArray[np.intp], sample: NDArray[np.intp]) -> Local:
        """All points in the frames of R orientations at as many samples."""
        axes = np.empty((3, len(rotation), 4), np.float32)  # the last one is homogeneous
        axes[..., :3] = self.axes.take(rotation, axis=1)
        axes[..., 3] = -np.einsum("ird,rd->ir", axes[..., :3], self.points_m.take(sample, axis=0))
        points_m = np.ones((4, len(self.points_m)), np.float32)
        points_m[:3] = self.points_m.T
        across_m, along_m, below_m = axes @ points_m
        return Local(across_m, along_m, below_m, axes[1, :, :3] @ self.normals.T)


@dataclass(frozen=True)
class Local:
    """N points of a surface in R frames, from their samples; (R, N) float32 each.

    Attributes:
        across_m: Position across the fingers (along x).
        along_m: Position along the closing axis.
        below_m: Position along the approach.
        facing: Cosines between normals and the closing axis.
    """

    across_m: NDArray[np.float32]
    along_m: NDArray[np.float32]
    below_m: NDArray[np.float32]
    facing: NDArray[np.float32]

    def beside(
        self, reach_m: float, deepest_m: NDArray[np.float32], settings: SearchSettings
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Entries, in order, within the fingers' width, a reach and a depth of each frame.

        Args:
            reach_m: Along the closing axis, to either side.
            deepest_m: (R,) greatest positions along the approach.

        Returns:
            The (E,) numbers of the entries and their frames.
        """
        inside = np.abs(self.across_m) <= np.float32(settings.gripper.finger_width_m / 2)
        inside &= np.abs(self.along_m) < np.float32(reach_m)
        inside &= self.below_m <= deepest_m[:, None]
        entry = np.flatnonzero(inside)
        return entry, entry // self.across_m.shape[1]


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

    def take(self, rows: NDArray[np.intp]) -> Contact:
        return Contact(self.grip.take(rows), self.ridge.take(rows), self.sheet.take(rows))


@dataclass(frozen=True)
class Parts:
    """The held parts of H hands, (H,) each; lengths are from the sample.

    Attributes:
        low_m: Least position along the closing axis.
        high_m: Greatest position along the closing axis.
        top_m: Least position along the approach.
        count: Number of points.
    """

    low_m: NDArray[np.floating]
    high_m: NDArray[np.floating]
    top_m: NDArray[np.floating]
    count: NDArray[np.intp]

    def take(self, rows: NDArray[np.intp]) -> Parts:
        return Parts(
            self.low_m.take(rows),
            self.high_m.take(rows),
            self.top_m.take(rows),
            self.count.take(rows),
        )


def held_parts(
    surface: Surface, hands: Hands, settings: SearchSettings
) -> tuple[Parts, Contact, Contact]:
    """The held parts and their contacts on the lower and upper end of the closing axis."""
    local = surface.seen_from(hands.rotation, hands.sample)
    tip_m = hands.tip_m.astype(np.float32)
    # A part that is not too wide, and the gap that ends it, lie within this reach.
    reach_m = settings.max_width_m + gap_m(settings)
    entry, hand = local.beside(reach_m, tip_m + np.float32(_BEYOND_M), settings)
    along_m, below_m = local.along_m.take(entry), local.below_m.take(entry)
    held = below_m <= tip_m.take(hand)
    beyond = np.flatnonzero(~held)
    beyond_hand, beyond_m = hand.take(beyond), along_m.take(beyond)
    some = np.flatnonzero(held)
    some = some.take(_connected(hand.take(some), along_m.take(some), len(hands), settings))
    hand, along_m, entry = hand.take(some), along_m.take(some), entry.take(some)
    across_m, starts = local.across_m.take(entry), first_of_each(hand)
    part = Parts(
        reduced(np.minimum, along_m, starts),
        reduced(np.maximum, along_m, starts),
        reduced(np.minimum, below_m.take(some), starts),
        lengths(starts, len(hand)),
    )
    span_m = extents_m(across_m, starts)
    contacts = []
    for sign, end_m in ((-1, part.low_m), (1, part.high_m)):
        patch = np.flatnonzero(sign * (end_m.take(hand) - along_m) <= np.float32(_PATCH_M))
        outside_m = sign * (beyond_m - end_m.take(beyond_hand))
        under = (outside_m > 0) & (outside_m < gap_m(settings))
        ends = np.bincount(beyond_hand[under], minlength=len(hands)) < _SURFACE_GOES_ON_POINTS
        contact = patch_contact(
            first_of_each(hand.take(patch)),
            sign * local.facing.take(entry.take(patch)),
            across_m.take(patch),
            span_m,
            _FULL_PATCH_POINTS,
            settings,
        )
        contacts.append(replace(contact, ridge=contact.ridge * ends, sheet=contact.sheet * ends))
    return part, contacts[0], contacts[1]


def gap_m(settings: SearchSettings) -> float:
    """Width of a gap that a finger fits into, with half of its usual room."""
    return settings.gripper.finger_thickness_m + settings.finger_clearance_m


def _connected(
    hand: NDArray[np.intp], along_m: NDArray[np.float32], count: int, settings: SearchSettings
) -> NDArray[np.intp]:
    """Which points belong to the same part as the sample of their hand."""
    reach_m = settings.max_width_m + gap_m(settings)
    bins = int(np.ceil(2 * reach_m / _BIN_M))
    column = ((along_m + np.float32(reach_m)) * np.float32(1 / _BIN_M)).astype(np.intp)
    column = np.minimum(column, bins - 1)
    occupied = np.zeros(count * bins, bool)
    occupied[hand * bins + column] = True
    centre, gap = int(reach_m / _BIN_M), max(1, round(gap_m(settings) / _BIN_M))
    left, right = _runs(occupied.reshape(count, bins), centre, gap)
    return np.flatnonzero((column >= left.take(hand)) & (column <= right.take(hand)))


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


def first_of_each(hand: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where the entries of each hand begin, the hands being in order."""
    changes = np.ones(len(hand), bool)
    changes[1:] = hand[1:] != hand[:-1]
    return np.flatnonzero(changes)


def lengths(starts: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """(H,) number of entries of each hand, of ``count`` in all."""
    result = np.empty_like(starts)
    np.subtract(starts[1:], starts[:-1], out=result[:-1])
    result[-1:] = count - starts[-1:]
    return result


def reduced(
    function: np.ufunc, values: NDArray[np.float32], starts: NDArray[np.intp]
) -> NDArray[np.float32]:
    """(H,) minimum, maximum or sum of the values of each hand."""
    if not len(starts):
        return np.zeros(0, np.float32)
    result: NDArray[np.float32] = function.reduceat(values, starts)
    return result


def extents_m(values_m: NDArray[np.float32], starts: NDArray[np.intp]) -> NDArray[np.float32]:
    """(H,) extent of the values of each hand."""
    return reduced(np.maximum, values_m, starts) - reduced(np.minimum, values_m, starts)


def patch_contact(
    starts: NDArray[np.intp],
    facing: NDArray[np.float32],
    across_m: NDArray[np.float32],
    span_m: NDArray[np.float32],
    least: int,
    settings: SearchSettings,
) -> Contact:
    """What the points of a patch say of the end of a held part, whether or not the surface ends.

    Grip falls from full, facing the finger, to about half at the edge of the friction cone and
    none 10 degrees outside, as normals are noisy. Half of a patch is enough for a grip, since it
    also holds the rim of the face above.

    Args:
        starts: (H,) where the points of each hand's patch begin, hand by hand; each has some.
        facing: (P,) cosines between the points' normals and the outward direction.
        across_m: (P,) their positions across the fingers.
        span_m: (H,) extent of the held parts across the fingers: where the patch has much less,
            the surface does not end squarely to the finger.
        least: Number of points below which a patch gives less than a full grip.
    """
    square = extents_m(across_m, starts) / np.maximum(span_m, 1e-6)
    square *= square >= _SQUARE_SHARE
    none, full = np.cos(np.arctan(settings.friction) + _BLUR_RAD), np.cos(_BLUR_RAD)
    grip = (facing - np.float32(none)) * np.float32(1 / (full - none))
    grip = np.minimum(np.maximum(grip, 0), 1)
    sizes = lengths(starts, len(facing))
    across = reduced(np.add, (np.abs(facing) < _RIDGE_COSINE).astype(np.float32), starts)
    away = reduced(np.add, (facing < -_RIDGE_COSINE).astype(np.float32), starts)
    needed = np.maximum(sizes / 2, least)
    return Contact(
        np.minimum(reduced(np.add, grip, starts) / needed, 1),
        across / sizes * square,
        away / sizes * square,
    )
