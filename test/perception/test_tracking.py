"""Ids of instances from frame to frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repsam_ros.errors import ConfigError
from repsam_ros.perception.pipeline import Scene
from repsam_ros.perception.tracking import InstanceTracker, TrackingSettings, renumbered
from repsam_ros.structures import Instances, SceneCloud

# Places of a 4 x 3 grid; an object of 6 x 6 px in each keeps clear of the others.
PLACES = [(10 * row, 10 * column) for row in range(3) for column in range(4)]
SIZE = 6


def label_map(places: list[int], shift: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Instance ``k + 1`` at the ``k``-th of the places."""
    labels = np.zeros((32, 42), np.uint16)
    for k, place in enumerate(places):
        y, x = PLACES[place][0] + 1 + shift[0], PLACES[place][1] + 1 + shift[1]
        labels[y : y + SIZE, x : x + SIZE] = k + 1
    return labels


def tracker(**values: float) -> InstanceTracker:
    return InstanceTracker(TrackingSettings(enabled=True, **values))


def test_ids_stay_while_objects_move_and_change_their_order() -> None:
    follower = tracker()
    assert follower.update(label_map([0, 5, 11])).tolist() == [1, 2, 3]
    assert follower.update(label_map([11, 0, 5], (1, 2))).tolist() == [3, 1, 2]
    assert follower.update(label_map([5, 11, 0], (3, 3))).tolist() == [2, 3, 1]


def test_a_new_object_gets_a_new_id_and_a_lost_one_comes_back_with_its_own() -> None:
    follower = tracker()
    follower.update(label_map([0, 5]))
    assert follower.update(label_map([5, 8])).tolist() == [2, 3]
    assert follower.update(label_map([8, 5, 0])).tolist() == [3, 2, 1]


def test_an_object_beyond_overlap_is_found_by_its_nearness() -> None:
    start, moved = label_map([0]), label_map([0], (0, SIZE))
    near, far = tracker(max_shift=1.2), tracker(max_shift=0.5)
    for follower in (near, far):
        follower.update(start)
    assert near.update(moved).tolist() == [1]
    assert far.update(moved).tolist() == [2]


def test_two_objects_that_change_places_are_assigned_at_once() -> None:
    """The nearest one first would leave the other without its own."""
    follower = tracker(max_shift=2.0)
    first = np.zeros((20, 40), np.uint16)
    first[5:11, 5:11], first[5:11, 13:19] = 1, 2
    second = np.zeros_like(first)
    second[5:11, 10:16], second[5:11, 18:24] = 1, 2
    follower.update(first)
    assert follower.update(second).tolist() == [1, 2]


@given(
    st.lists(st.lists(st.integers(0, 11), unique=True, max_size=12), min_size=1, max_size=25),
    st.integers(1, 6),
)
def test_no_id_is_given_away_while_it_is_remembered(frames: list[list[int]], memory: int) -> None:
    follower = tracker(memory_frames=memory)
    last: dict[int, tuple[int, int]] = {}  # id -> frame and place where it was last
    for number, places in enumerate(frames):
        ids = follower.update(label_map(places)).tolist()
        assert len(set(ids)) == len(ids) and min(ids, default=1) >= 1
        for k, place in zip(ids, places, strict=True):
            if k in last and number - last[k][0] <= memory:
                assert last[k][1] == place, "places are apart, so it is another object"
            last[k] = (number, place)
    assert max(last, default=0) <= 12 * 12


@given(st.permutations(range(6)), st.tuples(st.integers(0, 2), st.integers(0, 2)))
def test_ids_follow_the_masks_and_not_their_order(order: list[int], shift: tuple[int, int]) -> None:
    places = [0, 2, 5, 7, 8, 11]
    plain, shuffled = tracker(), tracker()
    for follower in (plain, shuffled):
        follower.update(label_map(places))
    ids = plain.update(label_map(places, shift))
    mixed = shuffled.update(label_map([places[index] for index in order], shift))
    assert mixed.tolist() == ids[list(order)].tolist()


def test_another_picture_size_and_a_reset_start_anew() -> None:
    follower = tracker()
    follower.update(label_map([3, 4]))
    assert follower.update(np.ones((8, 8), np.uint16)).tolist() == [1]
    follower.reset()
    assert follower.update(label_map([4])).tolist() == [1]


def test_large_pictures_are_compared_at_a_fraction_of_their_size() -> None:
    follower = tracker()
    large = np.kron(label_map([1, 6]), np.ones((20, 20), np.uint16))
    follower.update(large)
    assert follower.update(np.roll(large, 40, axis=1)).tolist() == [1, 2]


def test_a_frame_without_objects_is_remembered_as_such() -> None:
    follower = tracker(memory_frames=1)
    follower.update(label_map([0]))
    for _ in range(2):
        assert follower.update(label_map([])).shape == (0,)
    assert follower.update(label_map([11])).tolist() == [1], "forgotten by now"


def test_scene_and_cloud_get_the_ids() -> None:
    labels = label_map([0, 5])
    points = np.zeros((3, 3), np.float32)
    cloud = SceneCloud(
        points,
        np.zeros((3, 3), np.uint8),
        np.array([1, 2, 0], np.uint32),
        np.array([0.9, 0.8, 0], np.float32),
        np.zeros(3, np.uint8),
        1,
        "camera",
    )
    prompts = np.array([[1, 2], [3, 4]], np.float32)
    scene = Scene(Instances(labels, np.array([0.9, 0.8], np.float32), prompts), cloud)
    moved = renumbered(scene, np.array([4, 2], np.uint16))
    np.testing.assert_array_equal(moved.instances.labels == 4, labels == 1)
    np.testing.assert_array_equal(moved.instances.labels == 2, labels == 2)
    np.testing.assert_allclose(moved.instances.scores, [0, 0.8, 0, 0.9])
    np.testing.assert_array_equal(moved.instances.prompts_px[3], [1, 2])
    assert moved.cloud.instance_ids.tolist() == [4, 2, 0]


def test_a_scene_without_instances_stays_one() -> None:
    nothing = np.zeros(0, np.float32)
    cloud = SceneCloud(
        np.zeros((0, 3), np.float32),
        np.zeros((0, 3), np.uint8),
        np.zeros(0, np.uint32),
        nothing,
        np.zeros(0, np.uint8),
        1,
        "camera",
    )
    labels = np.zeros((2, 2), np.uint16)
    scene = Scene(Instances(labels, nothing, np.zeros((0, 2), np.float32)), cloud)
    assert len(renumbered(scene, np.zeros(0, np.uint16)).instances) == 0


def test_settings_that_make_no_sense_are_refused() -> None:
    for values in ({"min_iou": 0.0}, {"max_shift": -1.0}, {"memory_frames": 0}):
        with pytest.raises(ConfigError, match="tracking"):
            TrackingSettings(**values)
