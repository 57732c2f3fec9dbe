"""Prompts from the truth, and masks for them from a backend that is known to be right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from repsam_ros.backends import BackendInfo, Decoded, Encoded
from repsam_ros.datasets import Sample, open_dataset
from repsam_ros.evaluation.benchmark.prompting import (
    BOX,
    JITTERED_BOX,
    POINT,
    boxed_mask,
    deepest_point,
    jittered,
    prompted_masks,
    score_prompted,
    tight_box,
)
from repsam_ros.perception.pipeline import Pipeline, PipelineSettings, open_pipeline
from repsam_ros.structures import Intrinsics, RgbdFrame

MASKS = arrays(bool, (9, 13)).filter(lambda mask: mask.any())


class PointFiller:
    """Answers each point with the 9 x 9 canvas pixels about it; twice the frame's size.

    As TensorRT's, it knows the newest picture only.
    """

    canvas_px = (96, 128)
    newest = 0

    def encode(self, color: np.ndarray, depth_m: np.ndarray, intrinsics: np.ndarray) -> Encoded:
        self.newest += 1
        return Encoded(np.zeros((24, 32), np.float32), self.newest)

    def decode(self, encoded: Encoded, points_px: np.ndarray) -> Decoded:
        assert encoded.state == self.newest
        return self._filled(np.concatenate((points_px - 4, points_px + 4), axis=1))

    def info(self) -> BackendInfo:
        return BackendInfo("filler", "cpu", "filler", "", "fp32", "1")

    def close(self) -> None:
        pass

    def _filled(self, boxes_px: np.ndarray) -> Decoded:
        y, x = np.mgrid[:96, :128]
        left, top, right, bottom = boxes_px.T[..., None, None]
        # A box ends at the middle of its last frame pixel, a canvas pixel before that pixel's end.
        inside = (x >= left - 1) & (x <= right + 1) & (y >= top - 1) & (y <= bottom + 1)
        logits = np.where(inside, 9, -9).astype(np.float32)
        return Decoded(logits, np.ones(len(boxes_px), np.float32))


class ObjectFiller(PointFiller):
    """Answers each point with the topmost of the boxes of a frame that it lies in."""

    boxes_px: tuple[tuple[float, ...], ...] = ((5, 10, 24, 29), (30, 12, 49, 39))
    scores: tuple[float, ...] = (0.5, 0.5)
    beyond_px = 0

    def decode(self, encoded: Encoded, points_px: np.ndarray) -> Decoded:
        assert encoded.state == self.newest
        boxes_px = 2 * np.array(self.boxes_px, np.float32) + 0.5
        left, top, right, bottom = boxes_px.T[..., None]
        x, y = points_px.T
        inside = (left <= x) & (x <= right) & (top <= y) & (y <= bottom)
        topmost = inside.argmax(axis=0)
        wide_px = boxes_px[topmost] + np.array([0, 0, self.beyond_px, 0], np.float32)
        nothing = ~inside.any(axis=0)
        logits = np.where(nothing[:, None, None], -9, self._filled(wide_px).mask_logits)
        return Decoded(logits.astype(np.float32), np.array(self.scores, np.float32)[topmost])


def two_boxes() -> Sample:
    """Two objects of a 64x48 frame; most of the rest is not known."""
    labels = np.zeros((48, 64), np.uint16)
    labels[10:30, 5:25], labels[12:40, 30:50] = 2, 300
    ignore = np.zeros(labels.shape, bool)
    ignore[:, 50:] = ignore[40:] = True
    frame = RgbdFrame(
        np.zeros((48, 64, 3), np.uint8),
        np.ones((48, 64), np.float32),
        Intrinsics(50, 50, 31.5, 23.5, 64, 48),
    )
    return Sample("two", frame, labels, ignore)


def score(pipeline: Pipeline, prompt: str, *, whole: bool = False, seed: int = 0) -> float:
    miou = score_prompted(pipeline, two_boxes(), prompt, whole_image=whole, seed=(seed, 0))
    assert miou is not None
    return miou


@given(MASKS)
def test_deepest_point_lies_in_the_mask_and_box_around_it(mask: np.ndarray) -> None:
    x, y = deepest_point(mask).astype(int)
    assert mask[y, x]
    left, top, right, bottom = tight_box(mask).astype(int)
    assert mask[top : bottom + 1, left : right + 1].sum() == mask.sum()
    for side in (mask[top], mask[bottom], mask[:, left], mask[:, right]):
        assert side.any()


def test_deepest_point_is_the_middle_and_the_image_border_counts() -> None:
    mask = np.zeros((20, 30), bool)
    mask[5:10, 5:10] = True
    assert deepest_point(mask).tolist() == [7, 7]
    assert deepest_point(np.ones((21, 31), bool))[1] == 10


@given(MASKS, st.integers(0, 2**32 - 1))
def test_jittered_boxes_stay_in_the_image(mask: np.ndarray, seed: int) -> None:
    box = jittered(tight_box(mask), np.random.default_rng(seed), mask.shape)
    assert (box[:2] <= box[2:]).all() and (box >= 0).all()
    assert box[2] <= 12 and box[3] <= 8
    again = jittered(tight_box(mask), np.random.default_rng(seed), mask.shape)
    np.testing.assert_array_equal(box, again)


def test_jitter_is_a_tenth_of_the_box_and_limited() -> None:
    rng = np.random.default_rng(1)
    box = np.array([500, 500, 549, 599], np.float32)
    moves = np.stack([jittered(box, rng, (1024, 1024)) for _ in range(4000)]) - box
    np.testing.assert_allclose(moves.std(axis=0)[[0, 2]], 5, rtol=0.1)
    large = np.array([100, 100, 699, 699], np.float32)
    moves = np.stack([jittered(large, rng, (768, 1024)) for _ in range(200)]) - large
    assert np.abs(moves).max() == 20


def test_boxes_come_back_in_pixels_of_the_frame() -> None:
    pipeline = Pipeline(ObjectFiller(), PipelineSettings())
    assert score(pipeline, BOX) == 1
    first, second = (score(pipeline, JITTERED_BOX, seed=seed) for seed in (0, 1))
    assert 0.8 < first < 1 and 0.8 < second < 1 and first != second
    assert score(pipeline, JITTERED_BOX) == first


def test_a_surer_object_in_front_is_not_what_a_box_means() -> None:
    class Occluded(ObjectFiller):
        boxes_px = ((20, 5, 26, 45), (10, 15, 40, 30))
        scores = (0.9, 0.4)

    frame = two_boxes().frame
    (mask,) = prompted_masks(
        Pipeline(Occluded(), PipelineSettings()), frame, np.array([[10, 15, 40, 30]], np.float32)
    )
    assert mask[15:31, 10:41].all() and mask.sum() == 16 * 31


def test_a_box_also_gets_what_the_model_finds_by_itself() -> None:
    """None of the points in a box lies on a thin object along its left side."""

    class Finder(ObjectFiller):
        boxes_px = ((10, 5, 11, 40),)
        scores = (0.9,)

        def encode(self, color: np.ndarray, depth_m: np.ndarray, intrinsics: np.ndarray) -> Encoded:
            encoded = super().encode(color, depth_m, intrinsics)
            encoded.heatmap[10, 5] = 0.9
            return encoded

    frame, box_px = two_boxes().frame, np.array([[10, 5, 40, 40]], np.float32)
    (mask,) = prompted_masks(Pipeline(Finder(), PipelineSettings()), frame, box_px)
    assert mask[5:41, 10:12].all() and mask.sum() == 36 * 2


def test_masks_are_cut_to_the_box() -> None:
    class Wide(ObjectFiller):
        beyond_px = 20

    box_px = np.array([[5, 10, 24, 29]], np.float32)
    (mask,) = prompted_masks(Pipeline(Wide(), PipelineSettings()), two_boxes().frame, box_px)
    assert mask[10:30, 5:25].all() and mask.sum() == 20 * 20


def test_of_masks_the_one_that_is_sure_inside_and_as_large_as_the_box_is_meant() -> None:
    masks = np.zeros((5, 30, 40), bool)
    masks[0, 10:20, 10:30] = True
    masks[1, 10:20, 10:20] = True  # half of it
    masks[2, 5:25, 10:30] = True  # beyond it
    masks[3] = masks[0]  # less sure
    scores = np.array([0.8, 0.9, 0.9, 0.7, 1.0], np.float32)
    box_px = np.array([10, 10, 29, 19], np.float32)
    assert boxed_mask(masks, scores, box_px) == 0
    assert boxed_mask(masks[1:], scores[1:], box_px) == 2
    assert boxed_mask(masks[1:3], np.array([0.9, 0.3], np.float32), box_px) == 0


def test_points_come_back_in_pixels_of_the_frame() -> None:
    pipeline = Pipeline(PointFiller(), PipelineSettings())
    sample = two_boxes()
    (mask,) = prompted_masks(pipeline, sample.frame, np.array([[20, 11]], np.float32))
    assert mask[11, 20] and 20 <= mask.sum() <= 36
    rows, columns = np.nonzero(mask)
    assert (rows.mean(), columns.mean()) == pytest.approx((11, 20), abs=0.3)
    assert 0 < score(pipeline, POINT) < 0.2


def test_masks_that_run_into_unknown_pixels_count_where_the_whole_image_does() -> None:
    class Wide(ObjectFiller):
        beyond_px = 20

    pipeline = Pipeline(Wide(), PipelineSettings())
    assert score(pipeline, POINT, whole=True) < score(pipeline, POINT) - 0.1


def test_an_image_without_objects_is_not_asked_for() -> None:
    sample = two_boxes()
    empty = Sample("empty", sample.frame, np.zeros_like(sample.labels), sample.ignore)
    pipeline = Pipeline(PointFiller(), PipelineSettings())
    assert score_prompted(pipeline, empty, POINT, whole_image=True, seed=(0,)) is None


def test_the_model_gives_the_same_masks_for_its_own_prompts(shared_data: Path) -> None:
    """What the pipeline found by itself and what it is asked for go the same way."""
    pipeline = open_pipeline()
    frame = open_dataset("mosd", shared_data / "mosd_learn")[44].frame
    instances = pipeline.segment(frame)
    masks = prompted_masks(pipeline, frame, instances.prompts_px)
    assert len(masks) == len(instances) > 1
    for k, mask in enumerate(masks):
        found = instances.labels == k + 1
        assert (found & mask).sum() > 0.97 * (found | mask).sum()
