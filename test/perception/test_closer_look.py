"""The second look: where it goes, and that it is worth its time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from repsam_ros.errors import ConfigError
from repsam_ros.evaluation.latency.crowded_table import crowded_table
from repsam_ros.metrics.labels import score_labels
from repsam_ros.perception.closer_look import CloserLookSettings, closer_region
from repsam_ros.perception.guidance import Guidance
from repsam_ros.perception.pipeline import open_pipeline
from repsam_ros.structures import Instances

CANVAS_PX = (240, 320)


def instances(labels: np.ndarray) -> Instances:
    count = int(labels.max())
    return Instances(labels, np.ones(count, np.float32), np.zeros((count, 2), np.float32))


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(st.integers(40, 900), st.integers(40, 900)),
    st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=6),
    st.floats(1.05, 2.0),
    st.floats(0, 0.5),
)
def test_the_region_lies_in_the_frame_holds_every_object_and_keeps_to_the_zoom(
    frame_px: tuple[int, int],
    boxes: list[tuple[float, float, float, float]],
    max_zoom: float,
    margin: float,
) -> None:
    height, width = frame_px
    labels = np.zeros(frame_px, np.uint16)
    for number, (top, left, rows, columns) in enumerate(boxes, 1):
        y, x = int(top * (height - 2)), int(left * (width - 2))
        labels[y : y + 2 + int(rows * height / 4), x : x + 2 + int(columns * width / 4)] = number
    assume(len(np.unique(labels[labels > 0])) == len(boxes))
    limits = CloserLookSettings(min_zoom=1.01, max_zoom=max_zoom, margin=margin)
    region = closer_region(instances(labels), CANVAS_PX, limits)
    if region is None:
        return
    assert region.x >= 0 and region.width > 0 and region.x + region.width <= width
    assert region.y >= 0 and region.height > 0 and region.y + region.height <= height
    inside = labels[region.y : region.y + region.height, region.x : region.x + region.width]
    assert (inside > 0).sum() == (labels > 0).sum()
    first = max(height / CANVAS_PX[0], width / CANVAS_PX[1])
    second = max(region.height / CANVAS_PX[0], region.width / CANVAS_PX[1])
    # Whole pixels: half of one is a lot in a small frame.
    assert first / second <= max_zoom * (1 + 1 / min(region.height, region.width))


@pytest.mark.parametrize(
    ("side_px", "second_px"),
    [(80, (0, 100)), (40, (440, 600))],
    ids=["large objects", "objects all over the frame"],
)
def test_one_look_is_enough_for(side_px: int, second_px: tuple[int, int]) -> None:
    labels = np.zeros((480, 640), np.uint16)
    for number, (top, left) in enumerate(((0, 0), second_px), 1):
        labels[top : top + side_px, left : left + side_px] = number
    assert closer_region(instances(labels), CANVAS_PX, CloserLookSettings()) is None
    # Small ones beside each other are looked at again.
    together = np.zeros_like(labels)
    together[200:240, 300:340], together[200:240, 350:390] = 1, 2
    assert closer_region(instances(together), CANVAS_PX, CloserLookSettings()) is not None


def test_nothing_found_is_not_looked_at_again() -> None:
    empty = instances(np.zeros((480, 640), np.uint16))
    assert closer_region(empty, CANVAS_PX, CloserLookSettings()) is None


@pytest.mark.parametrize(
    "values", [{"min_zoom": 1.0}, {"max_zoom": 1.1}, {"margin": -0.1}, {"max_area_px": 0}]
)
def test_settings_that_mean_nothing_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="closer_look"):
        CloserLookSettings(**values)  # type: ignore[arg-type]


def test_small_objects_are_segmented_better_and_a_prompt_is_answered_at_once() -> None:
    pytest.importorskip("torch")
    frame, truth = crowded_table(640, 480, 3, 3)
    pipeline = open_pipeline(threads=1)
    twice = pipeline.segment(frame)
    column, row = twice.prompts_px[0].round().astype(int)
    click = Guidance(outline_px=np.array([[column, row]], np.float32))
    clicked = pipeline.segment(frame, click).labels
    once = replace(pipeline.settings, closer_look=CloserLookSettings(enabled=False))
    pipeline.settings = once
    known = np.zeros(frame.depth_m.shape, bool)
    first, second = (
        score_labels(found.labels, truth.labels, known)
        for found in (pipeline.segment(frame), twice)
    )
    assert len(twice.scores) == 9 and second.strict_miou > first.strict_miou + 0.01
    assert twice.labels[row, column] == 1  # prompts are where the frame has them
    np.testing.assert_array_equal(clicked, pipeline.segment(frame, click).labels)
