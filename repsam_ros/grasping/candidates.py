"""Grasp candidates on one object, after the sampling idea of GPD (ten Pas et al. 2017).

A candidate starts at a sampled surface point with an approach, a closing direction and a reach.
The hand is centred on the part of the object that it would hold
(:mod:`repsam_ros.grasping.slabs`), whose two ends are tested against the friction cone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.grasping.collisions import SeenSpace
from repsam_ros.grasping.settings import PlannerSettings
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
        terms: Term of the score by its name in ``ScoreWeights``, (C,) in [0, 1].
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
    plane: Plane | None,
    seen: SeenSpace,
    settings: PlannerSettings,
    rejected: Counter[str],
) -> Candidates:
    """Candidates that would hold the object, unchecked for collisions; counts the others."""
    rotations, pairs = _orientations(target, plane, settings, rejected)
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
        hands = hands.take(_reject(_too_big(span_m, height_m, settings), rejected))
    return _measure(target, surface, hands, rotations, plane, seen, settings, rejected)


def _reject(reasons: dict[str, NDArray[np.bool_]], rejected: Counter[str]) -> NDArray[np.bool_]:
    """Which candidates no reason speaks against; each other one is counted once."""
    usable = ~np.zeros_like(next(iter(reasons.values())))
    for reason, failed in reasons.items():
        rejected[reason] += int((usable & failed).sum())
        usable &= ~failed
    return usable


def _too_big(
    span_m: NDArray[np.float64], height_m: NDArray[np.float64], settings: PlannerSettings
) -> dict[str, NDArray[np.bool_]]:
    return {
        "too_wide": span_m > settings.max_width_m,
        "palm": height_m > settings.gripper.finger_length_m,
    }


def _orientations(
    target: Target, plane: Plane | None, settings: PlannerSettings, rejected: Counter[str]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """(Q, 3, 3) orientations, and the (P, 2) pairs of orientation and sample to try."""
    down = None if plane is None else -plane.normal
    fixed = _fixed_approaches(target.view, down, settings)
    into_surface = -target.normals[target.samples]
    own = target.samples
    if down is not None:
        usable = into_surface @ down >= np.cos(settings.max_tilt_rad)
        count = int((~usable).sum()) * settings.rolls * len(settings.depths_m)
        rejected["too_steep"] += count
        into_surface, own = into_surface[usable], own[usable]
    rotations = _rotations(target, np.concatenate((fixed, into_surface)), settings.rolls)
    shared = len(fixed) * settings.rolls
    # Neighbouring samples give much the same hands: they share the fixed orientations.
    turn, index = np.meshgrid(np.arange(shared), np.arange(len(target.samples)), indexing="ij")
    mine = (turn + index) % settings.samples_sharing == 0
    pairs = np.concatenate(
        (
            np.stack((turn[mine], target.samples[index[mine]]), axis=1),
            np.stack((np.arange(shared, len(rotations)), np.repeat(own, settings.rolls)), axis=1),
        )
    )
    return rotations, pairs


def _fixed_approaches(
    view: NDArray[np.float64], down: NDArray[np.float64] | None, settings: PlannerSettings
) -> NDArray[np.float64]:
    """(A, 3): down and two tilted towards the view; only the view when down is unknown."""
    if down is None:
        return view[None]
    approaches = [down]
    angle = float(np.arccos(np.clip(down @ view, -1, 1)))
    sideways = view - (view @ down) * down
    length = float(np.linalg.norm(sideways))
    if length > 0.1:
        for share in (0.5, 1.0):
            tilt = min(share * angle, settings.max_tilt_rad)
            approaches.append(np.cos(tilt) * down + np.sin(tilt) * sideways / length)
    return np.array(approaches)


def _rotations(target: Target, approaches: NDArray[np.float64], rolls: int) -> NDArray[np.float64]:
    """(A * rolls, 3, 3) hand orientations; the first closes across the object's narrow side.

    The narrow side is that of the smallest rectangle round the object seen along the approach.
    """
    first = np.cross(approaches, np.eye(3)[np.argmin(np.abs(approaches), axis=1)])
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(approaches, first)
    outline = target.points_m[:: max(1, len(target.points_m) // 200)] - target.centroid_m
    flat_mm = np.stack((outline @ first.T, outline @ second.T), axis=-1).astype(np.float32) * 1000
    narrow_rad = np.array([_narrow_side_rad(flat_mm[:, index]) for index in range(len(first))])
    turned = narrow_rad[:, None, None] + np.arange(rolls)[:, None] * (np.pi / rolls)
    result = np.empty((len(approaches), rolls, 3, 3))
    result[..., 1] = np.cos(turned) * first[:, None] + np.sin(turned) * second[:, None]
    result[..., 2] = approaches[:, None]
    result[..., 0] = np.cross(result[..., 1], result[..., 2])
    return result.reshape(-1, 3, 3)


def _narrow_side_rad(points_mm: NDArray[np.float32]) -> float:
    """Direction of the shorter side of the smallest rectangle round (N, 2) points."""
    _, (width, height), angle_deg = cv2.minAreaRect(np.ascontiguousarray(points_mm))
    return float(np.deg2rad(angle_deg if width <= height else angle_deg + 90))


def _reach(
    target: Target,
    rotations: NDArray[np.float64],
    pairs: NDArray[np.intp],
    plane: Plane | None,
    settings: PlannerSettings,
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
    settings: PlannerSettings,
    rejected: Counter[str],
) -> Candidates:
    """Hands centred on what they would hold, with the terms of their score."""
    part, low, high = held_parts(surface, hands, settings)
    reasons = _too_big(part.high_m - part.low_m, hands.tip_m - part.top_m, settings)
    reasons["too_few_points"] = part.count < settings.min_points
    fine = _reject(reasons, rejected)
    hands, part, low, high = hands.take(fine), part.take(fine), low.take(fine), high.take(fine)
    rotation = rotations[hands.rotation]
    local_m = surface.local_m[hands.rotation, :, hands.sample].astype(np.float64)
    local_m[:, 1] += (part.low_m + part.high_m) / 2
    local_m[:, 2] += hands.tip_m - settings.gripper.tip_m
    positions_m = np.einsum("cij,cj->ci", rotation, local_m) + target.centroid_m
    span_m, height_m = part.high_m - part.low_m, hands.tip_m - part.top_m
    known, behind = seen.finger_shares(
        positions_m, rotation, settings.opening_m(span_m), settings.gripper, target.instance_id
    )
    contacts = _contacts(low, high, known, rotation, target.view, settings)
    lowest_m = np.full(len(hands), np.inf)
    if plane is not None:
        lowest_m = _lowest_m(positions_m, rotation, span_m, plane, settings)
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
        "hidden": behind.max(axis=1, initial=0) > settings.max_behind_share,
    }
    terms = {name: np.clip(values, 0, 1) for name, values in terms.items()}
    found = Candidates(positions_m, rotation, span_m, terms)
    return found.take(_reject(reasons, rejected))


def _contacts(
    low: Contact,
    high: Contact,
    known: NDArray[np.float64],
    rotations: NDArray[np.float64],
    view: NDArray[np.float64],
    settings: PlannerSettings,
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


def _lowest_m(
    positions_m: NDArray[np.float64],
    rotations: NDArray[np.float64],
    parts_m: NDArray[np.float64],
    plane: Plane,
    settings: PlannerSettings,
) -> NDArray[np.float64]:
    """(H,) least height of fingers and palm over the plane."""
    gripper = settings.gripper
    axes = np.einsum("i,cij->cj", plane.normal, rotations)
    tcp_m = plane.height_m(positions_m)
    span_m = settings.opening_m(parts_m) / 2 + gripper.finger_thickness_m
    fingers = np.abs(axes[:, 0]) * gripper.finger_width_m / 2 + np.abs(axes[:, 1]) * span_m
    palm = np.abs(axes[:, 0]) * gripper.palm_depth_m / 2
    palm += np.abs(axes[:, 1]) * gripper.palm_width_m / 2
    back_m = gripper.palm_front_m - gripper.palm_length_m
    tips = np.minimum(gripper.tip_m * axes[:, 2], gripper.palm_front_m * axes[:, 2])
    ends = np.minimum(back_m * axes[:, 2], gripper.palm_front_m * axes[:, 2])
    lowest: NDArray[np.float64] = tcp_m + np.minimum(tips - fingers, ends - palm)
    return lowest
