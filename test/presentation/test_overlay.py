"""Pictures: where masks, captions and grasps end up in the image."""

from __future__ import annotations

import numpy as np
import pytest

from repsam_ros.presentation.overlay import draw_labels, draw_overlay, instance_color, score_color
from repsam_ros.structures import Grasp, Instances, Intrinsics

GREY = np.full((240, 320, 3), 90, np.uint8)
INTRINSICS = Intrinsics(300.0, 300.0, 159.5, 119.5, 320, 240)


def make_instances(*boxes: tuple[int, int, int, int]) -> Instances:
    labels = np.zeros((240, 320), np.uint16)
    for k, (top, bottom, left, right) in enumerate(boxes):
        labels[top:bottom, left:right] = k + 1
    count = len(boxes)
    return Instances(labels, np.full(count, 0.5, np.float32), np.zeros((count, 2), np.float32))


def grasp_at(x: float, y: float, z: float, score: float = 1.0) -> Grasp:
    """Approach along the optical axis, fingers left and right."""
    rotation = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    return Grasp(np.array([x, y, z]), rotation, 0.08, score, 1)


def changed(picture: np.ndarray) -> np.ndarray:
    return np.any(picture != GREY, axis=-1)


def test_masks_are_tinted_and_the_rest_is_left_alone() -> None:
    picture = draw_overlay(GREY, make_instances((50, 150, 60, 200)))
    touched = changed(picture)
    assert touched[52:148, 62:198].all()
    assert not touched[:47].any() and not touched[153:].any()
    assert np.all(GREY == 90)


def test_neighbouring_ids_differ_clearly() -> None:
    colors = np.array([instance_color(k) for k in range(1, 16)], float)
    distances = np.linalg.norm(colors[:, None] - colors, axis=-1)
    assert distances[np.triu_indices(15, 1)].min() > 25
    assert np.diag(distances, 1).min() > 150


def test_nothing_to_draw_is_the_image() -> None:
    np.testing.assert_array_equal(draw_overlay(GREY, make_instances()), GREY)


def test_an_instance_without_a_score_shows_its_id_alone() -> None:
    known = make_instances((50, 150, 60, 200))
    unknown = Instances(known.labels, np.zeros(1, np.float32), known.prompts_px)
    np.testing.assert_array_equal(draw_overlay(GREY, unknown), draw_labels(GREY, known.labels))
    assert np.any(draw_overlay(GREY, known) != draw_overlay(GREY, unknown))


def test_hues_follow_the_given_ids() -> None:
    labels = make_instances((50, 150, 60, 200)).labels
    as_seven = draw_labels(GREY, labels, {1: ""}, {1: 7})
    np.testing.assert_array_equal(as_seven, draw_labels(GREY, labels * 7, {7: ""}))


def test_a_grasp_is_drawn_where_it_projects() -> None:
    picture = draw_overlay(GREY, make_instances(), [grasp_at(0.1, 0.0, 0.6)], INTRINSICS)
    rows, columns = np.nonzero(changed(picture))
    # Finger tips at x = 0.1 -+ 0.04 m, 0.6 m away; palm nearer to the camera, so farther out.
    centre = 159.5 + 0.1 / 0.6 * 300
    assert abs(np.median(rows) - 119.5) < 3
    assert columns.min() < centre - 20 and columns.max() > centre + 20
    assert columns.max() < centre + 40


def test_the_best_grasp_lies_on_top_in_its_color() -> None:
    grasps = [grasp_at(0, 0, 0.6, score=1.0), grasp_at(0, 0, 0.6, score=0.0)]
    picture = draw_overlay(GREY, make_instances(), grasps, INTRINSICS)
    assert np.all(picture == score_color(1.0), axis=-1).any()
    assert not np.all(picture == score_color(0.0), axis=-1).any()


def test_a_grasp_behind_the_camera_is_left_out() -> None:
    picture = draw_overlay(GREY, make_instances(), [grasp_at(0, 0, -0.5)], INTRINSICS)
    np.testing.assert_array_equal(picture, GREY)


def test_a_grasp_far_outside_does_not_wrap_round() -> None:
    picture = draw_overlay(GREY, make_instances(), [grasp_at(500.0, 0, 0.2)], INTRINSICS)
    assert not changed(picture)[:, :100].any()


def test_grasps_need_intrinsics() -> None:
    with pytest.raises(ValueError, match="intrinsics"):
        draw_overlay(GREY, make_instances(), [grasp_at(0.0, 0.0, 1.0)])


@pytest.mark.parametrize("shape", [(8, 10), (48, 64), (1080, 1920)])
def test_any_image_size(shape: tuple[int, int]) -> None:
    labels = np.zeros(shape, np.uint16)
    labels[-2:, -3:] = 1
    picture = draw_labels(np.zeros((*shape, 3), np.uint8), labels)
    assert picture.shape == (*shape, 3) and picture.any()
