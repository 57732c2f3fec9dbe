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
from repsam_ros.errors import BackendError
from repsam_ros.evaluation.prompting import (
    BOX,
    JITTERED_BOX,
    POINT,
    deepest_point,
    jittered,
    prompted_masks,
    score_prompted,
    supports,
    tight_box,
)
from repsam_ros.perception.pipeline import Pipeline, PipelineSettings, open_pipeline
from repsam_ros.structures import Intrinsics, RgbdFrame

MASKS = arrays(bool, (9, 13)).filter(lambda mask: mask.any())


class PointFiller:
    """Answers each point with the 9 x 9 canvas pixels about it; twice the frame's size."""

    canvas_px = (96, 128)

    def encode(self, color: np.ndarray, depth_m: np.ndarray, intrinsics: np.ndarray) -> Encoded:
        return Encoded(np.zeros((24, 32), np.float32), None)

    def decode(self, encoded: Encoded, points_px: np.ndarray) -> Decoded:
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


class BoxFiller(PointFiller):
    """Answers boxes with all of the box."""

    def decode_boxes(self, encoded: Encoded, boxes_px: np.ndarray) -> Decoded:
        return self._filled(boxes_px)


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
    pipeline = Pipeline(BoxFiller(), PipelineSettings())
    assert score(pipeline, BOX) == pytest.approx(1, abs=0.02)
    first, second = (score(pipeline, JITTERED_BOX, seed=seed) for seed in (0, 1))
    assert 0.5 < first < 0.97 and first != second
    assert score(pipeline, JITTERED_BOX) == first


def test_points_come_back_in_pixels_of_the_frame() -> None:
    pipeline = Pipeline(PointFiller(), PipelineSettings())
    sample = two_boxes()
    (mask,) = prompted_masks(pipeline, sample.frame, np.array([[20, 11]], np.float32))
    assert mask[11, 20] and 20 <= mask.sum() <= 36
    rows, columns = np.nonzero(mask)
    assert (rows.mean(), columns.mean()) == pytest.approx((11, 20), abs=0.3)
    assert 0 < score(pipeline, POINT) < 0.2


def test_a_model_of_points_takes_no_boxes() -> None:
    pipeline = Pipeline(PointFiller(), PipelineSettings())
    assert supports(pipeline, POINT) and not supports(pipeline, JITTERED_BOX)
    assert supports(Pipeline(BoxFiller(), PipelineSettings()), BOX)
    with pytest.raises(BackendError, match="filler takes no boxes"):
        score(pipeline, BOX)


def test_masks_that_run_into_unknown_pixels_count_where_the_whole_image_does() -> None:
    class Wide(BoxFiller):
        def decode_boxes(self, encoded: Encoded, boxes_px: np.ndarray) -> Decoded:
            return self._filled(boxes_px + np.array([0, 0, 20, 0], np.float32))

    pipeline = Pipeline(Wide(), PipelineSettings())
    assert score(pipeline, BOX, whole=True) < score(pipeline, BOX) - 0.1


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
