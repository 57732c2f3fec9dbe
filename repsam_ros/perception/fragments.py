"""Joins masks that an object in front has cut out of one object behind it.

A mask network that is prompted on one visible piece tends to segment that piece alone. Two pieces
belong together where one surface goes on in the other and what lies between them is nearer: then
the gap is an occluder's, not a space between two objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError
from repsam_ros.perception.clouds import unproject
from repsam_ros.structures import Intrinsics

_HYPOTHESES, _SAMPLE, _FEWEST = 64, 256, 15
_NEAR_M, _BEHIND_M = 0.005, 0.01


@dataclass(frozen=True)
class FragmentSettings:
    """When two masks are pieces of one object. Thresholds hold for masks of about 160 x 120.

    Attributes:
        enabled: Without it masks stay as they are.
        inlier_m: Distance within which a point counts for a piece's main plane.
        max_offset_m: Median distance of each piece from the plane of the other.
        max_angle_deg: Between the two planes.
        min_occluded: Share of the area between the pieces (of their convex hull) that nearer masks
            cover.
        max_open: Share of that area that is seen to lie behind the plane.
        max_between: That area, relative to the pieces'.
        min_contact: Pixels along which one and the same mask touches each of the pieces, relative
            to the square root of the smaller one's area.
        min_logit: Median logit that the mask of at least one piece has in the other; a network
            that is sure that they are apart is believed.
    """

    enabled: bool = True
    inlier_m: float = 0.006
    max_offset_m: float = 0.02
    max_angle_deg: float = 15.0
    min_occluded: float = 0.3
    max_open: float = 0.25
    max_between: float = 1.7
    min_contact: float = 1.5
    min_logit: float = -7.0

    def __post_init__(self) -> None:
        if min(self.max_offset_m, self.max_angle_deg, self.inlier_m) <= 0:
            raise ConfigError("fragments: offset, angle and inlier distance must be above 0")
        if not (0 <= self.min_occluded <= 1 and 0 <= self.max_open <= 1):
            raise ConfigError("fragments: min_occluded and max_open must lie in 0..1")


class _Piece(NamedTuple):
    """Pixels (h, w) of a mask, some of its points (P, 3), its main plane and its surroundings."""

    pixels: NDArray[np.bool_]
    points: NDArray[np.float64]
    normal: NDArray[np.float64]
    origin: NDArray[np.float64]
    around: NDArray[np.bool_]


def group_fragments(
    logits: NDArray[np.float32],
    scores: NDArray[np.float32],
    depth_m: NDArray[np.float32],
    intrinsics: Intrinsics,
    settings: FragmentSettings,
) -> NDArray[np.intp]:
    """(N,) object of each mask, as the index of the first of its masks.

    Args:
        logits: (N, h, w) of the masks, above 0 inside.
        scores: (N,); where masks overlap, a pixel belongs to the surer one.
        depth_m: (h, w), 0 = unknown.
        intrinsics: Of ``depth_m``.
    """
    groups = np.arange(len(logits))
    if not settings.enabled or len(logits) < 2:
        return groups
    owner = _owners(logits, scores)
    rays = unproject(np.ones_like(depth_m), intrinsics).astype(np.float64)
    pieces = [_piece(owner == k, rays, depth_m, settings.inlier_m) for k in range(len(logits))]
    for i, j in combinations(range(len(logits)), 2):
        a, b = pieces[i], pieces[j]
        if (
            a is not None
            and b is not None
            and _continue(a, b, settings)
            and max(_logit(logits[i], b), _logit(logits[j], a)) > settings.min_logit
            and _has_occluder(i, j, pieces, settings)
            and _is_occluded(a, b, owner, rays, depth_m, settings)
        ):
            joined = (groups[i], groups[j])
            groups[np.isin(groups, joined)] = min(joined)
    return groups


def _owners(logits: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.intp]:
    """(h, w) index of the surest mask that holds a pixel, -1 where none does."""
    owner = np.full(logits.shape[1:], -1, np.intp)
    most = np.full(owner.shape, -1, np.float32)
    for index, (values, score) in enumerate(zip(logits, scores, strict=True)):
        inside = np.flatnonzero(values > 0)
        sure = score / (1 + np.exp(-values.take(inside)))
        better = sure > most.take(inside)
        place = inside[better]
        most.reshape(-1)[place] = sure[better]
        owner.reshape(-1)[place] = index
    return owner


def _piece(
    pixels: NDArray[np.bool_],
    rays: NDArray[np.float64],
    depth_m: NDArray[np.float32],
    inlier_m: float,
) -> _Piece | None:
    """None where too little is known to say anything."""
    known = np.flatnonzero(pixels & (depth_m > 0))
    if len(known) < _FEWEST:
        return None
    known = known[:: -(-len(known) // _SAMPLE)]
    points = rays.reshape(-1, 3).take(known, axis=0) * depth_m.take(known)[:, None]
    first, second, third = points[_triples(len(points))]
    normals = np.cross(second - first, third - first)
    lengths = np.linalg.norm(normals, axis=1)
    if not lengths.any():
        return None
    normals /= np.maximum(lengths, 1e-12)[:, None]
    distances = np.abs(normals @ points.T - np.einsum("ij,ij->i", normals, first)[:, None])
    inliers = distances < inlier_m
    best = points[inliers[np.argmax(np.count_nonzero(inliers, axis=1) * (lengths > 1e-9))]]
    if len(best) < 3:
        return None
    origin = best.mean(0)
    normal = np.linalg.svd(best - origin, full_matrices=False)[2][2]
    around = cv2.dilate(pixels.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return _Piece(pixels, points, normal, origin, around)


@cache
def _triples(count: int) -> NDArray[np.int64]:
    """(3, _HYPOTHESES) of so many points; the same each time: the same frame, the same result."""
    return np.random.default_rng(0).integers(0, count, (3, _HYPOTHESES))


def _continue(a: _Piece, b: _Piece, settings: FragmentSettings) -> bool:
    """Whether the surface of one goes on in the other."""
    if abs(float(a.normal @ b.normal)) < np.cos(np.radians(settings.max_angle_deg)):
        return False
    offsets = (
        _median(np.abs((other.points - one.origin) @ one.normal)) for one, other in ((a, b), (b, a))
    )
    return bool(max(offsets) < settings.max_offset_m)


def _logit(logits: NDArray[np.float32], piece: _Piece) -> float:
    return _median(logits[piece.pixels])


def _median(values: NDArray[np.floating]) -> float:
    """As NumPy's, which takes ten times as long for a few hundred values."""
    ordered = np.sort(values)
    return float((ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2)


def _has_occluder(i: int, j: int, pieces: list[_Piece | None], settings: FragmentSettings) -> bool:
    """Whether one and the same other mask touches both."""
    a, b = pieces[i], pieces[j]
    assert a is not None and b is not None
    wanted = settings.min_contact * np.sqrt(min(a.pixels.sum(), b.pixels.sum()))
    return any(
        min((one.around & a.pixels).sum(), (one.around & b.pixels).sum()) >= wanted
        for k, one in enumerate(pieces)
        if one is not None and k not in (i, j)
    )


def _is_occluded(
    a: _Piece,
    b: _Piece,
    owner: NDArray[np.intp],
    rays: NDArray[np.float64],
    depth_m: NDArray[np.float32],
    settings: FragmentSettings,
) -> bool:
    """Whether what lies between the two hides the surface that they share."""
    both = a.pixels | b.pixels
    rows, columns = np.nonzero(both)
    outline = cv2.convexHull(np.column_stack([columns, rows]).astype(np.int32))
    hull = np.zeros(both.shape, np.uint8)
    cv2.fillConvexPoly(hull, outline, 1)
    between = (hull > 0) & ~both
    area = int(between.sum())
    if area == 0 or area > settings.max_between * both.sum():
        return False
    # How far the plane of the larger piece is along each ray.
    one = a if a.pixels.sum() >= b.pixels.sum() else b
    steepness = rays @ one.normal
    steepness[np.abs(steepness) < 1e-6] = 1e-6
    plane_m = float(one.origin @ one.normal) / steepness
    known = between & (depth_m > 0)
    nearer = known & (owner >= 0) & (depth_m < plane_m - _NEAR_M)
    behind = known & (depth_m > plane_m + _BEHIND_M)
    return bool(
        nearer.sum() >= settings.min_occluded * area and behind.sum() <= settings.max_open * area
    )
