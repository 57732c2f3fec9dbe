"""Label maps for clouds: outlines that are those of depth.

The outline of a mask and that of the object's depth lie some pixels apart: sensors that match
blocks widen what is near, colour and depth are not registered to the pixel, and masks are a
little off. The object's depth outside its mask would stand round it as an obstacle, and a cut
through the curved side of a bottle leaves a rim that no finger seems to hold; depth on the mask
that is of something in front makes the object wider than it is.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.structures import Intrinsics

# A surface seen at more than this slope (76 degrees off frontal) counts as a depth jump.
GRAZING_SLOPE = 4.0
# Objects with less than this share of their pixels far from their outline are thin.
_THIN_SHARE = 0.25
_NOWHERE_M = np.float32(-9)


def follow_depth(
    labels: NDArray[np.uint16],
    depth_m: NDArray[np.float32],
    intrinsics: Intrinsics,
    reach_px: int,
    jump_m: float,
) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """(H, W) labels that end where depth does, and depth without what belongs to nothing.

    Within ``reach_px`` of an outline, what a jump or a gap of depth cuts off from the inner part
    of its own label changes sides: a pixel of an object when the surface of another object goes
    on there, a pixel of the context when the depth of an object nearby is like its own. Context
    that is cut off and like nothing is neither a surface nor free; its depth is left out. Where
    an object meets the table without a jump its outline stays, and thin objects, which have
    hardly an inner part, keep what they have.

    Args:
        depth_m: (H, W) finite, 0 = invalid.
        jump_m: Least step of depth between two surfaces; what is up to two steps apart is alike.
    """
    labels, depth_m = labels.copy(), depth_m.copy()
    x, y, width, height = cv2.boundingRect((labels > 0).view(np.uint8))
    if width:
        margin = 2 * reach_px
        rows = slice(max(0, y - margin), y + height + margin)
        columns = slice(max(0, x - margin), x + width + margin)
        slope = GRAZING_SLOPE / min(intrinsics.fx, intrinsics.fy)
        _change_sides(labels[rows, columns], depth_m[rows, columns], reach_px, slope, jump_m)
    return labels, depth_m


def _change_sides(
    labels: NDArray[np.uint16],
    depth_m: NDArray[np.float32],
    reach_px: int,
    slope: float,
    jump_m: float,
) -> None:
    """As :func:`follow_depth`, in place; ``slope`` is the steepest by the pixel and metre."""
    step_m = np.maximum(depth_m * np.float32(slope), np.float32(jump_m / 2))
    reached = _reached(labels, depth_m, step_m, reach_px)
    row, column = np.divmod(np.flatnonzero((depth_m > 0) & ~reached), labels.shape[1])
    own_m, own_step_m = depth_m[row, column], step_m[row, column]
    # Padded and flat, a step in the picture is one number.
    known_m = np.pad(np.where(reached, depth_m, _NOWHERE_M), reach_px, constant_values=_NOWHERE_M)
    sides, pitch = np.pad(labels, reach_px).reshape(-1), known_m.shape[1]
    known_m = known_m.reshape(-1)
    place = (row + reach_px) * pitch + column + reach_px
    moved = sides.copy()
    some = np.flatnonzero(sides.take(place) == 0)
    like = _most_alike(known_m, place[some], own_m[some], 2 * jump_m, pitch, reach_px)
    moved[place[some]] = sides.take(like)
    lost = some[like == place[some]]
    some = np.flatnonzero(sides.take(place) > 0)
    _go_on(moved, known_m, place[some], own_m[some], own_step_m[some], pitch, reach_px)
    labels[row, column] = moved.take(place)
    depth_m[row[lost], column[lost]] = 0


def _reached(
    labels: NDArray[np.uint16],
    depth_m: NDArray[np.float32],
    step_m: NDArray[np.float32],
    reach_px: int,
) -> NDArray[np.bool_]:
    """(H, W) pixels that small steps of depth within their label join to its inner part."""
    across = np.abs(depth_m[:, 1:] - depth_m[:, :-1]) <= step_m[:, 1:]
    across &= labels[:, 1:] == labels[:, :-1]
    down = np.abs(depth_m[1:] - depth_m[:-1]) <= step_m[1:]
    down &= labels[1:] == labels[:-1]
    reached = _inner_part(labels, reach_px) & (depth_m > 0)
    for _ in range(reach_px):
        reached[:, 1:] |= reached[:, :-1] & across
        reached[:, :-1] |= reached[:, 1:] & across
        reached[1:] |= reached[:-1] & down
        reached[:-1] |= reached[1:] & down
    return reached


def _inner_part(labels: NDArray[np.uint16], reach_px: int) -> NDArray[np.bool_]:
    """(H, W) pixels farther than ``reach_px`` from any outline, and all of thin objects."""
    window = np.ones((2 * reach_px + 1,) * 2, np.uint8)
    inner: NDArray[np.bool_] = cv2.erode(labels, window) == cv2.dilate(labels, window)
    sizes = np.bincount((2 * labels.astype(np.intp) + inner).reshape(-1))
    outer, within = np.pad(sizes, (0, len(sizes) % 2)).reshape(-1, 2).T
    thin = within < _THIN_SHARE * (outer + within)
    thin[0] = False
    if thin.any():
        inner |= thin[labels]
    return inner


def _most_alike(
    known_m: NDArray[np.float32],
    place: NDArray[np.intp],
    own_m: NDArray[np.float32],
    limit_m: float,
    pitch: int,
    reach_px: int,
) -> NDArray[np.intp]:
    """Where, in eight directions, the known depth is most like one's own; one's own place: none."""
    best_m = np.full(len(place), limit_m, np.float32)
    result = place.copy()
    for distance in range(1, reach_px + 1):
        steps = [1, pitch]
        if distance * np.sqrt(2) <= reach_px:
            steps += [pitch + 1, pitch - 1]
        for step in (*steps, *(-each for each in steps)):
            other = place + distance * step
            apart_m = np.abs(known_m.take(other) - own_m)
            better = apart_m < best_m
            np.copyto(best_m, apart_m, where=better)
            np.copyto(result, other, where=better)
    return result


def _go_on(
    sides: NDArray[np.uint16],
    known_m: NDArray[np.float32],
    place: NDArray[np.intp],
    own_m: NDArray[np.float32],
    step_m: NDArray[np.float32],
    pitch: int,
    reach_px: int,
) -> None:
    """Lets the surfaces of objects go on over ``place``, pixel by pixel; edits the first two."""
    for _ in range(reach_px):
        best_m, source = step_m.copy(), place.copy()
        for step in (1, -1, pitch, -pitch):
            other = place + step
            apart_m = np.abs(known_m.take(other) - own_m)
            better = (apart_m <= best_m) & (sides.take(other) > 0)
            np.copyto(best_m, apart_m, where=better)
            np.copyto(source, other, where=better)
        found = source != place
        if not found.any():
            return
        sides[place[found]] = sides.take(source[found])
        known_m[place[found]] = own_m[found]
        place, own_m, step_m = place[~found], own_m[~found], step_m[~found]
