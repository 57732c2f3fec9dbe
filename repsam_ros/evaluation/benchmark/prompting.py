"""Prompts made from the truth, and how good the masks are that a network gives for them.

No network here was trained with boxes, and exported graphs take points alone. So a box is answered
through points: of the instances that the pipeline finds by itself and the masks of some points
inside the box, the one that fits it best is taken and cut to it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.backends import Encoded
from repsam_ros.datasets import Sample
from repsam_ros.errors import FrameError
from repsam_ros.metrics.labels import prompted_miou
from repsam_ros.perception.canvas import Canvas, depth_at, points_on_canvas, to_frame
from repsam_ros.perception.guidance import points_inside
from repsam_ros.perception.masks import rate_masks, tight_box
from repsam_ros.perception.pipeline import Pipeline
from repsam_ros.structures import RgbdFrame

POINT, BOX, JITTERED_BOX = "oracle point", "oracle box", "jittered box"
PROMPTS = (POINT, BOX, JITTERED_BOX)

# The noise that Segment Anything was trained with (Kirillov et al., ICCV 2023, appendix A).
_JITTER_SHARE, _MAX_JITTER_PX = 0.1, 20.0
_JITTER_REFERENCE_PX = 1024


def score_prompted(
    pipeline: Pipeline, sample: Sample, prompt: str, *, whole_image: bool, seed: tuple[int, ...]
) -> float | None:
    """Prompted mIoU of an image; None where there is no object to ask for.

    Args:
        prompt: One of ``PROMPTS``.
        whole_image: Whether pixels without truth count as background. So they should where they
            only hold other objects than the labelled ones: of those that are asked for, all is
            known.
        seed: Of the jitter of this image.

    Raises:
        FrameError: The frame cannot be used; the message names it.
    """
    ids = [int(k) for k in np.unique(sample.labels) if k]
    if not ids:
        return None
    prompts = make_prompts(sample.labels, ids, prompt, seed)
    try:
        masks = prompted_masks(pipeline, sample.frame, prompts)
    except FrameError as error:
        raise FrameError(error.cause, f"{sample.name}: {error}") from error
    ignore = None if whole_image else sample.ignore
    return prompted_miou(dict(zip(ids, masks, strict=True)), sample.labels, ignore)


def make_prompts(
    labels: NDArray[np.uint16], ids: list[int], prompt: str, seed: tuple[int, ...]
) -> NDArray[np.float32]:
    """(N, 2) points x, y or (N, 4) boxes left, top, right, bottom of instances, pixels."""
    rng = np.random.default_rng(seed)
    if prompt == POINT:
        return np.stack([deepest_point(labels == k) for k in ids])
    boxes = [tight_box(labels == k) for k in ids]
    if prompt == JITTERED_BOX:
        boxes = [jittered(box, rng, labels.shape) for box in boxes]
    return np.stack(boxes)


def deepest_point(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """x, y of the pixel of a (H, W) mask that lies farthest from its border and the image's."""
    distance = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    return np.array([x - 1, y - 1], np.float32)


def jittered(
    box: NDArray[np.float32], rng: np.random.Generator, size: tuple[int, ...]
) -> NDArray[np.float32]:
    """The box with normal noise on each side.

    Its standard deviation is a tenth of the box's width or height; no side moves farther than
    20 px of an image whose longer side is 1024 px, nor out of the (height, width) image.
    """
    extent = np.tile(box[2:] - box[:2] + 1, 2)
    limit_px = _MAX_JITTER_PX * max(size) / _JITTER_REFERENCE_PX
    noise = np.clip(_JITTER_SHARE * extent * rng.standard_normal(4), -limit_px, limit_px)
    moved = np.clip(box + noise, 0, np.tile([size[1] - 1, size[0] - 1], 2))
    sides = np.stack((moved[:2], moved[2:]))
    return np.concatenate((sides.min(axis=0), sides.max(axis=0))).astype(np.float32)


def prompted_masks(
    pipeline: Pipeline, frame: RgbdFrame, prompts: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """(N, H, W) masks of (N, 2) points or (N, 4) boxes, which may overlap."""
    frame_px = frame.depth_m.shape
    if prompts.shape[1] == 2:
        return _of_points(pipeline, *pipeline.encode(frame), prompts, frame_px)[0]
    found = pipeline.segment(frame)
    # Encoded after it: some backends keep the state of the newest picture only.
    canvas, encoded = pipeline.encode(frame)
    own = found.labels == np.arange(1, len(found) + 1)[:, None, None]
    result = np.zeros((len(prompts), *frame_px), bool)
    for mask, box_px in zip(result, prompts, strict=True):
        points_px = points_inside(box_px[[[0, 1], [2, 1], [2, 3], [0, 3]]], frame_px)
        asked, asked_scores = _of_points(pipeline, canvas, encoded, points_px, frame_px)
        masks = np.concatenate((asked, own))
        best = boxed_mask(masks, np.concatenate((asked_scores, found.scores)), box_px)
        inside = _pixels(box_px)
        mask[inside] = masks[best][inside]
    return result


def boxed_mask(
    masks: NDArray[np.bool_], scores: NDArray[np.float32], box_px: NDArray[np.float32]
) -> int:
    """Index of the (N, H, W) mask that a box means: sure, inside it, as wide and high as it.

    What an object's box is filled with can be another object in front; how far a mask reaches
    tells the two apart, and how much of the box it covers does not.
    """
    return int((scores * [_fit(mask, box_px) for mask in masks]).argmax())


def _fit(mask: NDArray[np.bool_], box_px: NDArray[np.float32]) -> float:
    """IoU of a mask's own tight box with a box, times the share of the mask in it."""
    area = int(mask.sum())
    if not area:
        return 0.0
    own_px = tight_box(mask)
    shared_px = np.concatenate(
        (np.maximum(own_px[:2], box_px[:2]), np.minimum(own_px[2:], box_px[2:]))
    )
    shared, own, box = (
        float(np.maximum(each[2:] - each[:2] + 1, 0).prod()) for each in (shared_px, own_px, box_px)
    )
    return shared / (own + box - shared) * int(mask[_pixels(box_px)].sum()) / area


def _pixels(box_px: NDArray[np.float32]) -> tuple[slice, slice]:
    left, top, right, bottom = np.rint(box_px).astype(int)
    return slice(top, bottom + 1), slice(left, right + 1)


def _of_points(
    pipeline: Pipeline,
    canvas: Canvas,
    encoded: Encoded,
    points_px: NDArray[np.float32],
    frame_px: tuple[int, int],
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """(N, H, W) masks of (N, 2) points of the frame, and their (N,) scores."""
    settings = pipeline.settings.masks
    decoded = pipeline.backend.decode(encoded, points_on_canvas(points_px, canvas, frame_px))
    depth_m, _ = depth_at(canvas, decoded.mask_logits.shape[1:])
    logits, _, scores = rate_masks(decoded.mask_logits, decoded.predicted_iou, depth_m, settings)
    return to_frame(logits, canvas, frame_px) > 0, scores
