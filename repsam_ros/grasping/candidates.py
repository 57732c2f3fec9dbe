"""Grasp candidates on one object, after the sampling idea of GPD (ten Pas et al. 2017).

A candidate starts at a sampled surface point with an approach, a closing direction and a reach.
The hand is centred on the part of the object that it would hold
(:mod:`repsam_ros.grasping.slabs`), whose two ends are tested against the friction cone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from repsam_ros.grasping.collisions import SeenSpace, least_height_m
from repsam_ros.grasping.orientations import Orientations
from repsam_ros.grasping.rejections import reject
from repsam_ros.grasping.settings import SearchSettings
from repsam_ros.grasping.slabs import Contact, Hands, Surface, held_parts, rough_parts
from repsam_ros.grasping.targets import Target
from repsam_ros.structures import Plane

_MIN_REACH_M = 0.004
# A face turned further than this (78 degrees) from the camera is not expected in its image.
_SEEN_COSINE = 0.2
_CENTROID_SCALE_M = 0.05
_CLEARANCE_SCALE_M = 0.02
_DEPTH_SCALE_M = 0.03


@dataclass(frozen=True)
class Candidates:
    """C candidates in the frame of the cloud.

    Attributes:
        positions_m: (C, 3) tool centre points.
        rotations: (C, 3, 3) columns x, y, z of the grasp frame.
        parts_m: (C,) extent of the held part along the closing axis.
        terms: What speaks for a candidate, each (C,) in [0, 1].
    """

    positions_m: NDArray[np.float64]
    rotations: NDArray[np.float64]
    parts_m: NDArray[np.float64]
    terms: dict[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.parts_m)

    def take(self, keep: NDArray[np.integer] | NDArray[np.bool_]) -> Candidates:
        return Candidates(
            self.positions_m[keep],
            self.rotations[keep],
            self.parts_m[keep],
            {name: values[keep] for name, values in self.terms.items()},
        )


def make_candidates(
    target: Target,
    orientations: Orientations,
    plane: Plane | None,
    seen: SeenSpace,
    settings: SearchSettings,
    rejected: Counter[str],
) -> Candidates:
    """Candidates that would hold the object, unchecked for collisions; counts the others."""
    rotations, pairs = orientations
    hands = _reach(target, rotations, pairs, plane, settings, rejected)
    axes = rotations.transpose(0, 2, 1).astype(np.float32)
    surface = Surface(
        axes @ (target.points_m - target.centroid_m).T.astype(np.float32),
        axes[:, 1] @ target.normals.T.astype(np.float32),
    )
    if target.step > 1:
        # Fewer points never make a part wider or higher, so nothing good is lost here.
        thinned = Hands(hands.rotation, hands.sample // target.step, hands.tip_m)
        rough = rough_parts(surface.thinned(target.step), thinned, settings)
        span_m, height_m = rough.high_m - rough.low_m, hands.tip_m - rough.top_m
        hands = hands.take(reject(_too_big(span_m, height_m, settings), rejected))
    return _measure(target, surface, hands, rotations, plane, seen, settings, rejected)


def _too_big(
    span_m: NDArray[np.float64], height_m: NDArray[np.float64], settings: SearchSettings
) -> dict[str, NDArray[np.bool_]]:
    return {
        "too_wide": span_m > settings.max_width_m,
        "palm": height_m > settings.gripper.finger_length_m,
    }


def _reach(
    target: Target,
    rotations: NDArray[np.float64],
    pairs: NDArray[np.intp],
    plane: Plane | None,
    settings: SearchSettings,
    rejected: Counter[str],
) -> Hands:
    """Hands at all depths, reaching less deep where the table is in the way."""
    rotation, sample = pairs.T
    depths_m = np.sort(settings.depths_m)
    tips_m = np.repeat(depths_m[:, None], len(pairs), axis=1)
    if plane is not None:
        axes = (plane.normal @ rotations)[rotation]
        # The opening is not known yet: half of the widest part stands in for it.
        corner_m = np.abs(axes[:, 0]) * settings.gripper.finger_width_m / 2
        corner_m += np.abs(axes[:, 1]) * settings.max_width_m / 2
        room_m = plane.height_m(target.points_m[sample]) - corner_m
        room_m -= settings.table_clearance_m + 1e-6
        tips_m = np.minimum(tips_m, room_m / np.maximum(-axes[:, 2], 0.1))
    fits = tips_m >= _MIN_REACH_M
    rejected["table"] += int((~fits).sum())
    fits[1:] &= tips_m[1:] > tips_m[:-1]  # where the table is the limit, once is enough
    depth, pair = np.nonzero(fits)
    return Hands(rotation[pair], sample[pair], tips_m[depth, pair])


def _measure(
    target: Target,
    surface: Surface,
    hands: Hands,
    rotations: NDArray[np.float64],
    plane: Plane | None,
    seen: SeenSpace,
    settings: SearchSettings,
    rejected: Counter[str],
) -> Candidates:
    """Hands centred on what they would hold, with the terms of their score."""
    part, low, high = held_parts(surface, hands, settings)
    reasons = _too_big(part.high_m - part.low_m, hands.tip_m - part.top_m, settings)
    reasons["too_few_points"] = part.count < settings.min_points
    # What would not do even with its surroundings known is not looked at further.
    surely_known, rotation = np.ones((len(hands), 2)), rotations[hands.rotation]
    most = _contacts(low, high, surely_known, rotation, target.view, settings)
    reasons["not_antipodal"] = most.min(axis=1) < settings.min_contact
    fine = reject(reasons, rejected)
    hands, part, low, high = (
        hands.take(fine),
        part.take(fine),
        low.take(fine),
        high.take(fine),
    )
    rotation = rotations[hands.rotation]
    local_m = surface.local_m[hands.rotation, :, hands.sample].astype(np.float64)
    local_m[:, 1] += (part.low_m + part.high_m) / 2
    local_m[:, 2] += hands.tip_m - settings.gripper.tip_m
    positions_m = np.einsum("cij,cj->ci", rotation, local_m) + target.centroid_m
    span_m, height_m = part.high_m - part.low_m, hands.tip_m - part.top_m
    known, behind = seen.finger_shares(
        positions_m,
        rotation,
        settings.opening_m(span_m),
        settings.gripper,
        target.instance_id,
    )
    contacts = _contacts(low, high, known, rotation, target.view, settings)
    lowest_m = np.full(len(hands), np.inf)
    if plane is not None:
        opening_m = settings.opening_m(span_m)
        lowest_m = least_height_m(positions_m, rotation, opening_m, plane, settings.gripper)
    upright = target.view if plane is None else -plane.normal
    terms = {
        "antipodal": contacts.mean(axis=1),
        "centroid": 1 - np.hypot(local_m[:, 0], local_m[:, 1]) / _CENTROID_SCALE_M,
        "vertical": rotation[:, :, 2] @ upright,
        "clearance": (lowest_m - settings.table_clearance_m) / _CLEARANCE_SCALE_M,
        "depth": height_m / _DEPTH_SCALE_M,
        "narrow": 1 - span_m / settings.gripper.opening_m,
        "known": known.mean(axis=1),
    }
    reasons = {
        "table": lowest_m < settings.table_clearance_m,
        "not_antipodal": contacts.min(axis=1) < settings.min_contact,
        "workspace": ~settings.in_workspace(positions_m),
        "hidden": behind.max(axis=1, initial=0) > settings.max_behind_share,
    }
    terms = {name: np.clip(values, 0, 1) for name, values in terms.items()}
    found = Candidates(positions_m, rotation, span_m, terms)
    return found.take(reject(reasons, rejected))


def _contacts(
    low: Contact,
    high: Contact,
    known: NDArray[np.float64],
    rotations: NDArray[np.float64],
    view: NDArray[np.float64],
    settings: SearchSettings,
) -> NDArray[np.float64]:
    """(H, 2) quality of both contacts; one whose face the camera cannot see earns some credit."""
    result = np.empty((len(rotations), 2))
    for side, contact in enumerate((low, high)):
        outward = rotations[:, :, 1] * (1 if side else -1)
        unseen = -(outward @ view) < _SEEN_COSINE
        # The back of a thick thing is no sheet: there the finger would not stand in seen space.
        end = np.where(known[:, side] > 0.5, contact.ridge + contact.sheet, contact.ridge)
        result[:, side] = np.maximum(contact.grip, settings.unseen_credit * unseen * end)
    return result
