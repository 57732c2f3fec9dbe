"""Grasp candidates on one object, after the sampling idea of GPD (ten Pas et al. 2017).

A candidate starts at a sampled surface point with an approach, a closing direction and a reach.
The hand is centred on the part of the object that it would hold
(:mod:`repsam_ros.grasping.slabs`), whose two ends are tested against the friction cone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from repsam_ros.grasping.collisions import SeenSpace, least_height_m
from repsam_ros.grasping.outlines import outlined_parts
from repsam_ros.grasping.rejections import reject
from repsam_ros.grasping.settings import SearchSettings
from repsam_ros.grasping.slabs import Contact, Hands, Parts, Surface, held_parts
from repsam_ros.grasping.targets import Target
from repsam_ros.structures import Plane

_MIN_REACH_M = 0.004
# A face turned further than this (78 degrees) from the camera is not expected in its image.
_SEEN_COSINE = 0.2
_CENTROID_SCALE_M = 0.05
_CLEARANCE_SCALE_M = 0.02
_DEPTH_SCALE_M = 0.03
# Both contacts in the friction cone, the closing line near the middle of the object, the approach
# along gravity (along the view where no plane is known), the hand well over the table, the object
# well in between the fingers, a small opening, fingers that end in space seen to be free.
TERMS = ("antipodal", "centroid", "vertical", "clearance", "depth", "narrow", "known")
_ANTIPODAL, _KNOWN = TERMS.index("antipodal"), TERMS.index("known")


@dataclass(frozen=True)
class Candidates:
    """C candidates in the frame of the cloud.

    Attributes:
        hands: What they were made from.
        positions_m: (C, 3) tool centre points.
        rotations: (C, 3, 3) columns x, y, z of the grasp frame.
        parts_m: (C,) extent of the held part along the closing axis.
        terms: (T, C) what speaks for a candidate, in the order of ``TERMS``, each in [0, 1].
    """

    hands: Hands
    positions_m: NDArray[np.float64]
    rotations: NDArray[np.float64]
    parts_m: NDArray[np.float64]
    terms: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.parts_m)

    def take(self, rows: NDArray[np.intp]) -> Candidates:
        return Candidates(
            self.hands.take(rows),
            self.positions_m.take(rows, axis=0),
            self.rotations.take(rows, axis=0),
            self.parts_m.take(rows),
            self.terms.take(rows, axis=1),
        )


@dataclass(frozen=True)
class Measurer:
    """Measures hands on one object.

    Attributes:
        target: The object.
        rotations: (Q, 3, 3) orientations that hands may have.
        plane: The support plane, None when there is none.
        settings: How candidates are sought.
        rejected: Counts what would not do, by cause.
    """

    target: Target
    rotations: NDArray[np.float64]
    plane: Plane | None
    settings: SearchSettings
    rejected: Counter[str]

    def roughly(self, pairs: NDArray[np.intp]) -> Candidates:
        """Hands at all depths, by a few points and in favour of whatever these do not show.

        Args:
            pairs: (P, 2) pairs of an orientation and a point of the object.
        """
        rotation, sample = pairs.T
        tips_m = self._reach(rotation, sample)
        fits = np.flatnonzero(tips_m[0] >= _MIN_REACH_M)
        self.rejected["table"] += len(tips_m) * (len(pairs) - len(fits))
        rotation, sample, tips_m = rotation[fits], sample[fits], tips_m[:, fits]
        step = self.target.step
        # Where the table is the limit, once is enough.
        wanted = np.diff(tips_m, axis=0, prepend=0) > 0
        rows, part, low, high = outlined_parts(
            self._surface.thinned(step), rotation, sample // step, tips_m, wanted, self.settings
        )
        self.rejected["too_wide"] += int(np.count_nonzero(wanted)) - len(rows)
        pair = rows % max(len(fits), 1)
        hands = Hands(rotation[pair], sample[pair], tips_m.take(rows))
        return self._measured(hands, part, (low, high), rough=True)[0]

    def closely(self, hands: Hands, seen: SeenSpace) -> Candidates:
        """Hands that would hold the object, unchecked for collisions."""
        settings, target = self.settings, self.target
        part, low, high = held_parts(self._surface, hands, settings)
        found, rows = self._measured(hands, part, (low, high), rough=False)
        opening_m = settings.opening_m(found.parts_m)
        known, behind = seen.finger_shares(
            found.positions_m, found.rotations, opening_m, settings.gripper, target.instance_id
        )
        ends = low.take(rows), high.take(rows)
        contacts = _contacts(ends, known, found.rotations, target.view, settings)
        reasons = {
            "hidden": np.maximum(*behind) > settings.max_behind_share,
            "not_antipodal": np.minimum(*contacts) < settings.min_contact,
        }
        found.terms[_ANTIPODAL] = (contacts[0] + contacts[1]) / 2
        found.terms[_KNOWN] = (known[0] + known[1]) / 2
        return found.take(np.flatnonzero(reject(reasons, self.rejected)))

    def _reach(self, rotation: NDArray[np.intp], sample: NDArray[np.intp]) -> NDArray[np.float64]:
        """(L, P) reaches of the finger tips, less deep where the table is in the way."""
        settings, plane = self.settings, self.plane
        depths_m = np.sort(settings.depths_m)
        tips_m = np.repeat(depths_m[:, None], len(sample), axis=1)
        if plane is not None:
            axes = (plane.normal @ self.rotations)[rotation]
            # The opening is not known yet: half of the widest part stands in for it.
            corner_m = np.abs(axes[:, 0]) * settings.gripper.finger_width_m / 2
            corner_m += np.abs(axes[:, 1]) * settings.max_width_m / 2
            room_m = plane.height_m(self.target.points_m[sample]) - corner_m
            room_m -= settings.table_clearance_m + 1e-6
            tips_m = np.minimum(tips_m, room_m / np.maximum(-axes[:, 2], 0.1))
        return tips_m

    @cached_property
    def _surface(self) -> Surface:
        return Surface(
            (self.target.points_m - self.target.centroid_m).astype(np.float32),
            self.target.normals.astype(np.float32),
            self.rotations.transpose(2, 0, 1).astype(np.float32),
        )

    def _measured(
        self, hands: Hands, part: Parts, ends: tuple[Contact, Contact], *, rough: bool
    ) -> tuple[Candidates, NDArray[np.intp]]:
        """What is usable as far as the object and the table tell, and its rows among the hands."""
        settings = self.settings
        span_m, height_m = part.high_m - part.low_m, hands.tip_m - part.top_m
        reasons = {
            "too_wide": span_m > settings.max_width_m + 1e-9,
            "palm": height_m > settings.gripper.finger_length_m,
        }
        if not rough:
            reasons["too_few_points"] = part.count < settings.min_points
        held = np.flatnonzero(reject(reasons, self.rejected))
        hands, part, span_m = hands.take(held), part.take(held), span_m.take(held)
        positions_m, rotations, off_centre_m = self._centred(hands, part)
        contacts = _contacts(
            (ends[0].take(held), ends[1].take(held)), None, rotations, self.target.view, settings
        )
        lowest_m = np.full(len(hands), np.inf)
        upright = self.target.view
        if self.plane is not None:
            upright = -self.plane.normal
            lowest_m = least_height_m(
                positions_m, rotations, settings.opening_m(span_m), self.plane, settings.gripper
            )
        reasons = {
            "table": lowest_m < settings.table_clearance_m,
            "workspace": ~settings.in_workspace(positions_m),
        }
        if not rough:
            reasons["not_antipodal"] = np.minimum(*contacts) < settings.min_contact
        terms = np.array(
            (
                (contacts[0] + contacts[1]) / 2,
                1 - off_centre_m / _CENTROID_SCALE_M,
                rotations[:, :, 2] @ upright,
                (lowest_m - settings.table_clearance_m) / _CLEARANCE_SCALE_M,
                height_m.take(held) / _DEPTH_SCALE_M,
                1 - span_m / settings.gripper.opening_m,
                np.ones(len(hands)),
            )
        )
        np.clip(terms, 0, 1, out=terms)
        found = Candidates(hands, positions_m, rotations, span_m, terms)
        rows = np.flatnonzero(reject(reasons, self.rejected))
        return found.take(rows), held.take(rows)

    def _centred(
        self, hands: Hands, part: Parts
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Positions and rotations of the hands; how far beside the centroid they come down."""
        rotations = self.rotations.take(hands.rotation, axis=0)
        offsets_m = self.target.points_m.take(hands.sample, axis=0) - self.target.centroid_m
        local_m = np.einsum("ci,cij->cj", offsets_m, rotations)
        local_m[:, 1] += (part.low_m + part.high_m) / 2
        local_m[:, 2] += hands.tip_m - self.settings.gripper.tip_m
        positions_m = np.einsum("cij,cj->ci", rotations, local_m) + self.target.centroid_m
        return positions_m, rotations, np.hypot(local_m[:, 0], local_m[:, 1])


def _contacts(
    ends: tuple[Contact, Contact],
    known: NDArray[np.float64] | None,
    rotations: NDArray[np.float64],
    view: NDArray[np.float64],
    settings: SearchSettings,
) -> NDArray[np.float64]:
    """(2, H) quality of both contacts; one whose face the camera cannot see earns some credit.

    Args:
        known: (2, H) shares of the fingers in known space; all of them when None.
    """
    result = np.empty((2, len(rotations)))
    toward = rotations[:, :, 1] @ view
    for side, (contact, outward) in enumerate(zip(ends, (-toward, toward), strict=True)):
        unseen = -outward < _SEEN_COSINE
        # The back of a thick thing is no sheet: there the finger would not stand in seen space.
        sheet = contact.sheet if known is None else contact.sheet * (known[side] > 0.5)
        end = contact.ridge + sheet
        result[side] = np.maximum(contact.grip, settings.unseen_credit * unseen * end)
    return result
