"""Pictures of results: masks, ids, scores and grasps drawn into the colour image."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.structures import Grasp, Instances, Intrinsics

_TINT = 0.45
_GOLDEN_RATIO = 0.618034
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_REFERENCE_WIDTH_PX = 640
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_FINGER_LENGTH_M = 0.045
_APPROACH_LENGTH_M = 0.05
_SUBPIXEL_BITS = 4


def draw_overlay(
    color: NDArray[np.uint8],
    instances: Instances,
    grasps: Sequence[Grasp] = (),
    intrinsics: Intrinsics | None = None,
) -> NDArray[np.uint8]:
    """The image with tinted masks, ids, scores and grasps.

    Args:
        color: (H, W, 3) RGB.
        grasps: In the optical frame of the image, best first.
        intrinsics: Of the image; needed where there are grasps.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    picture = _tinted(color, instances.labels, {})
    if grasps:
        if intrinsics is None:
            raise ValueError("grasps cannot be drawn without intrinsics")
        for grasp in reversed(grasps):  # the best one on top
            _draw_grasp(picture, grasp, intrinsics)
    # Topics tell no score of an instance without points; it comes as 0, which no mask has.
    scores = {k + 1: score for k, score in enumerate(instances.scores) if score > 0}
    captions = {k: f"{k}: {score:.2f}" for k, score in scores.items()}
    _draw_captions(picture, instances.labels, captions)
    return picture


def draw_labels(
    color: NDArray[np.uint8],
    labels: NDArray[np.integer],
    captions: Mapping[int, str] | None = None,
    hue_ids: Mapping[int, int] | None = None,
) -> NDArray[np.uint8]:
    """The image with each id's mask tinted, outlined and captioned.

    Args:
        color: (H, W, 3) RGB.
        labels: (H, W) ids, 0 = background.
        captions: Text on each id, the id itself where none is given.
        hue_ids: The number that picks an id's colour, the id itself where none is given.
    """
    picture = _tinted(color, labels, hue_ids or {})
    _draw_captions(picture, labels, captions or {})
    return picture


def instance_color(k: int) -> tuple[int, int, int]:
    """RGB of instance ``k``; neighbours in ``k`` lie far apart on the colour wheel."""
    hue = (0.02 + k * _GOLDEN_RATIO) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 1.0 if k % 2 else 0.85)
    return round(255 * red), round(255 * green), round(255 * blue)


def score_color(score: float) -> tuple[int, int, int]:
    """RGB from red (0) over yellow to green (1)."""
    red, green, blue = colorsys.hsv_to_rgb(float(np.clip(score, 0, 1)) / 3, 1.0, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _tinted(
    color: NDArray[np.uint8], labels: NDArray[np.integer], hue_ids: Mapping[int, int]
) -> NDArray[np.uint8]:
    picture = np.array(color, np.uint8)
    thickness = _line_px(picture)
    for k in _ids(labels):
        inside = labels == k
        hue = instance_color(hue_ids.get(k, k))
        tinted = (1 - _TINT) * picture[inside] + _TINT * np.array(hue)
        picture[inside] = (tinted + 0.5).astype(np.uint8)
        contours, _ = cv2.findContours(
            inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(picture, contours, -1, _BLACK, thickness + 1, cv2.LINE_AA)
        cv2.drawContours(picture, contours, -1, hue, thickness, cv2.LINE_AA)
    return picture


def _draw_captions(
    picture: NDArray[np.uint8], labels: NDArray[np.integer], captions: Mapping[int, str]
) -> None:
    for k in _ids(labels):
        _draw_caption(picture, labels == k, captions.get(k, str(k)))


def _ids(labels: NDArray[np.integer]) -> list[int]:
    return [int(k) for k in np.unique(labels) if k]


def _line_px(picture: NDArray[np.uint8]) -> int:
    width_px = int(picture.shape[1])
    return max(1, round(width_px / _REFERENCE_WIDTH_PX))


def _draw_caption(picture: NDArray[np.uint8], mask: NDArray[np.bool_], text: str) -> None:
    """Writes ``text`` about the pixel of ``mask`` that lies deepest inside, within the image."""
    distance = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    height, width = mask.shape
    scale = max(0.3, 0.5 * width / _REFERENCE_WIDTH_PX)
    thickness = _line_px(picture)
    (text_width, text_height), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    left = int(np.clip(int(x) - 1 - text_width // 2, 0, max(0, width - text_width)))
    bottom = int(np.clip(int(y) - 1 + text_height // 2, text_height, height - 1))
    for ink, extra in ((_BLACK, 3), (_WHITE, 0)):
        cv2.putText(
            picture, text, (left, bottom), _FONT, scale, ink, thickness + extra, cv2.LINE_AA
        )


def gripper_lines(grasp: Grasp) -> list[NDArray[np.float64]]:
    """Fingers with palm, and the approach line: polylines in the camera frame, metres."""
    half = grasp.width_m / 2
    palm = -_FINGER_LENGTH_M
    hand = np.array([[0, -half, 0], [0, -half, palm], [0, half, palm], [0, half, 0]])
    approach = np.array([[0, 0, palm], [0, 0, palm - _APPROACH_LENGTH_M]])
    return [line @ grasp.rotation.T + grasp.position_m for line in (hand, approach)]


def _draw_grasp(picture: NDArray[np.uint8], grasp: Grasp, intrinsics: Intrinsics) -> None:
    thickness = 2 * _line_px(picture)
    lines = [line for line in gripper_lines(grasp) if np.all(line[:, 2] > 0)]
    for ink, extra in ((_BLACK, 2), (score_color(grasp.score), 0)):
        for line in lines:
            x = line[:, 0] / line[:, 2] * intrinsics.fx + intrinsics.cx
            y = line[:, 1] / line[:, 2] * intrinsics.fy + intrinsics.cy
            # OpenCV draws from 16-bit coordinates; far outside would wrap round.
            pixels = np.clip(np.stack((x, y), axis=-1), -2000, 2 * max(picture.shape) + 2000)
            fixed = np.round(pixels * 2**_SUBPIXEL_BITS).astype(np.int32)
            cv2.polylines(
                picture, [fixed], False, ink, thickness + extra, cv2.LINE_AA, _SUBPIXEL_BITS
            )
