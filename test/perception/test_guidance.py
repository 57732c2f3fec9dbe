"""Ignore masks, prompts from outside and the region, on the embedded model and by themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repsam_ros.errors import ConfigError, FrameError
from repsam_ros.perception.guidance import Guidance, filled, points_inside, wanted_mask
from repsam_ros.perception.pipeline import Pipeline, PipelineSettings, open_pipeline
from repsam_ros.perception.region import RegionSettings
from repsam_ros.structures import Intrinsics, RgbdFrame

HEIGHT, WIDTH = 120, 160
BOXES = [(20, 20), (80, 30), (50, 75)]  # left, top; 30 x 25 pixels each


@pytest.fixture(scope="module")
def frame() -> RgbdFrame:
    """Three boxes on a table, from above."""
    rng = np.random.default_rng(5)
    color = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    depth_m = np.full((HEIGHT, WIDTH), 0.8, np.float32)
    for number, (x, y) in enumerate(BOXES):
        color[y : y + 25, x : x + 30] = (60 * number + 100, 200 - 60 * number, 40)
        depth_m[y : y + 25, x : x + 30] = 0.75
    depth_m += rng.normal(0, 0.0005, depth_m.shape).astype(np.float32)
    camera = Intrinsics(150.0, 150.0, (WIDTH - 1) / 2, (HEIGHT - 1) / 2, WIDTH, HEIGHT)
    return RgbdFrame(color, depth_m, camera, 1)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return open_pipeline(threads=1)


def box(number: int) -> np.ndarray:
    x, y = BOXES[number]
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y : y + 25, x : x + 30] = True
    return mask


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def test_guidance_of_nothing_changes_nothing(pipeline: Pipeline, frame: RgbdFrame) -> None:
    expected = pipeline.perceive(frame)
    scene = pipeline.perceive(frame, Guidance(np.zeros((HEIGHT, WIDTH), bool)))
    np.testing.assert_array_equal(scene.instances.labels, expected.instances.labels)
    np.testing.assert_array_equal(scene.cloud.points_m, expected.cloud.points_m)


def test_ignored_pixels_are_neither_segmented_nor_in_the_cloud(
    pipeline: Pipeline, frame: RgbdFrame
) -> None:
    ignored = np.zeros((HEIGHT, WIDTH), bool)
    ignored[15:50, 15:55] = True  # all of the first box and some of the table
    ignored[30:55, 100:] = True  # a part of the second
    scene = pipeline.perceive(frame, Guidance(ignored))
    assert not scene.instances.labels[ignored].any()
    columns, rows = np.rint(scene.instances.prompts_px).astype(int).T
    assert not ignored[rows, columns].any()
    assert len(scene.instances) == 2
    camera, points = frame.intrinsics, scene.cloud.points_m.astype(float)
    x = np.rint(points[:, 0] / points[:, 2] * camera.fx + camera.cx).astype(int)
    y = np.rint(points[:, 1] / points[:, 2] * camera.fy + camera.cy).astype(int)
    # A voxel's mean may lie half a voxel, 0.6 px here, off its pixels.
    core = np.zeros_like(ignored)
    core[16:49, 16:54] = True
    core[31:54, 101:159] = True
    assert not core[y, x].any()
    assert len(points) > 1000


def test_everything_ignored_gives_an_empty_scene(pipeline: Pipeline, frame: RgbdFrame) -> None:
    scene = pipeline.perceive(frame, Guidance(np.ones((HEIGHT, WIDTH), bool)))
    assert not scene.instances.labels.any() and not len(scene.cloud.points_m)


@pytest.mark.parametrize("number", range(3))
def test_a_click_gives_the_object_under_it_alone(
    pipeline: Pipeline, frame: RgbdFrame, number: int
) -> None:
    x, y = BOXES[number]
    click = np.array([[x + 12, y + 10]], np.float32)
    scene = pipeline.perceive(frame, Guidance(outline_px=click))
    assert len(scene.instances) == 1
    assert iou(scene.instances.labels == 1, box(number)) > 0.8
    np.testing.assert_allclose(scene.instances.prompts_px, click, atol=1e-3)
    assert set(np.unique(scene.cloud.instance_ids)) == {0, 1}


@pytest.mark.parametrize("number", range(3))
def test_a_rough_polygon_gives_the_object_in_it(
    pipeline: Pipeline, frame: RgbdFrame, number: int
) -> None:
    x, y = BOXES[number]
    corners = np.array([[x - 4, y + 2], [x + 25, y - 5], [x + 34, y + 28], [x + 3, y + 26]])
    instances = pipeline.segment(frame, Guidance(outline_px=corners.astype(np.float32)))
    assert len(instances) == 1
    assert iou(instances.labels == 1, box(number)) > 0.8


def test_a_click_on_ignored_pixels_gives_nothing(pipeline: Pipeline, frame: RgbdFrame) -> None:
    guidance = Guidance(box(0), np.array([[30, 30]], np.float32))
    assert len(pipeline.segment(frame, guidance)) == 0


@pytest.mark.parametrize(
    ("guidance", "cause"),
    [
        (Guidance(np.zeros((60, 80), bool)), "ignore_mask_size"),
        (Guidance(outline_px=np.array([[160, 5]], np.float32)), "bad_prompt"),
        (Guidance(outline_px=np.array([[np.nan, 5]], np.float32)), "bad_prompt"),
        (Guidance(outline_px=np.array([[3, 3], [5, 5]], np.float32)), "bad_prompt"),
        (Guidance(outline_px=np.full((3, 2), -9, np.float32)), "bad_prompt"),
    ],
)
def test_guidance_that_does_not_fit_is_refused_by_name(guidance: Guidance, cause: str) -> None:
    with pytest.raises(FrameError) as error:
        guidance.check((HEIGHT, WIDTH))
    assert error.value.cause == cause


@given(
    st.lists(
        st.tuples(st.floats(-50, 90, width=32), st.floats(-50, 70, width=32)),
        min_size=3,
        max_size=8,
    )
)
def test_points_for_a_polygon_lie_in_it_and_apart(corners: list[tuple[float, float]]) -> None:
    outline = np.array(corners, np.float32)
    points = points_inside(outline, (48, 64))
    inside = filled(outline, (48, 64))
    assert len(points) <= 5 and bool(len(points)) == bool(inside.any())
    columns, rows = points.astype(int).T
    assert inside[rows, columns].all()
    assert len({tuple(point) for point in points}) == len(points)


def test_of_two_masks_the_one_that_fits_the_polygon_is_meant() -> None:
    masks = np.zeros((2, 20, 30), bool)
    masks[0] = True
    masks[1, 5:10, 5:15] = True
    outline = np.array([[4, 4], [15, 4], [15, 10], [4, 10]], np.float32)
    scores = np.array([0.9, 0.4], np.float32)
    assert wanted_mask(masks, scores, outline) == 1
    assert wanted_mask(masks, scores, outline[:1]) == 0


def with_region(pipeline: Pipeline, **values: int) -> Pipeline:
    return Pipeline(pipeline.backend, PipelineSettings(region=RegionSettings(**values)))


def test_only_the_region_is_segmented_and_the_rest_is_surroundings(
    pipeline: Pipeline, frame: RgbdFrame
) -> None:
    scene = with_region(pipeline, x=70, y=20, width=60, height=45).perceive(frame)
    labels = scene.instances.labels
    assert labels.shape == (HEIGHT, WIDTH)
    outside = np.ones_like(labels, bool)
    outside[20:65, 70:130] = False
    assert not labels[outside].any()
    assert iou(labels == labels[42, 95], box(1)) > 0.8
    np.testing.assert_allclose(scene.instances.prompts_px[0], [95, 42], atol=15)
    context_m = scene.cloud.points_m[scene.cloud.instance_ids == 0]
    assert (context_m[:, 0] < -0.2).any(), "the table left of the region"


def test_prompts_and_masks_hold_in_pixels_of_the_whole_picture(
    pipeline: Pipeline, frame: RgbdFrame
) -> None:
    part = with_region(pipeline, x=10, y=10, width=110, height=60)
    guidance = Guidance(box(0), np.array([[95, 42]], np.float32))
    instances = part.segment(frame, guidance)
    assert iou(instances.labels == 1, box(1)) > 0.8
    assert not instances.labels[box(0)].any()
    with pytest.raises(FrameError, match="outside") as error:
        part.segment(frame, Guidance(outline_px=np.array([[140, 100]], np.float32)))
    assert error.value.cause == "bad_prompt"


def test_a_region_beyond_the_picture_is_refused_by_name(
    pipeline: Pipeline, frame: RgbdFrame
) -> None:
    for values in ({"x": 100, "width": 61}, {"y": 120}, {"height": 121}):
        with pytest.raises(FrameError) as error:
            with_region(pipeline, **values).segment(frame)
        assert error.value.cause == "region_outside"
    with pytest.raises(ConfigError, match="negative"):
        RegionSettings(width=-5)


def test_a_region_without_width_or_height_goes_to_the_edge(
    pipeline: Pipeline, frame: RgbdFrame
) -> None:
    labels = with_region(pipeline, y=70).segment(frame).labels
    assert labels.max() == 1 and iou(labels == 1, box(2)) > 0.8
