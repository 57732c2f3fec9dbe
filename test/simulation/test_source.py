"""Source pictures: reproducible, with truth that fits what is seen, natural in their statistics."""

from __future__ import annotations

import numpy as np
import pytest

from repsam_ros.adaptation.pictures import SourcePictures
from repsam_ros.simulation.source import (
    MAX_SHAPES,
    VISIBLE_SHARE,
    SourcePicture,
    source_picture,
)
from repsam_ros.simulation.source_painting import Fill, Leaf, Painting, Pose, Shadow
from repsam_ros.simulation.views import MAX_OBJECTS

SIZE = (96, 128)


def seed(number: int) -> tuple[int, ...]:
    """Of a picture of the stream that a training with seed 3 sees."""
    return 3, 0, number


@pytest.fixture(scope="module")
def pictures() -> list[SourcePicture]:
    return [source_picture(seed(number), SIZE) for number in range(24)]


def test_a_picture_follows_from_its_seed_alone(pictures: list[SourcePicture]) -> None:
    again = source_picture(seed(7), SIZE)
    trained = SourcePictures(SIZE, 3, None, ignore_rest=False)(7)
    assert np.array_equal(pictures[7].color, trained.color)
    for name in ("color", "ids", "ignore"):
        assert np.array_equal(getattr(pictures[7], name), getattr(again, name))
    assert not np.array_equal(pictures[7].color, pictures[8].color)
    assert not np.array_equal(pictures[7].color, source_picture((4, 0, 7), SIZE).color)


def test_colours_do_not_depend_on_what_memory_held(pictures: list[SourcePicture]) -> None:
    for number in range(24):
        # NumPy gives freed memory of the same size to the next array that asks for it.
        left = [np.full((3, 4), np.finfo(np.float64).max) for _ in range(8)]
        del left
        assert np.array_equal(source_picture(seed(number), SIZE).color, pictures[number].color)


def test_ids_are_those_that_the_networks_targets_know() -> None:
    assert MAX_SHAPES == MAX_OBJECTS


def test_instances_have_a_usable_size_and_largest_first(pictures: list[SourcePicture]) -> None:
    counts = []
    for picture in pictures:
        assert (picture.color.shape, picture.color.dtype) == ((*SIZE, 3), np.uint8)
        assert (picture.ids.shape, picture.ids.dtype) == (SIZE, np.uint8)
        share = np.bincount(picture.ids.ravel())[1:] / picture.ids.size
        assert len(share) <= MAX_SHAPES
        assert share.min() >= VISIBLE_SHARE[0] and share.max() <= VISIBLE_SHARE[1]
        assert (np.diff(share) <= 0).all()
        assert not picture.ids[picture.ignore].any()
        counts.append(len(share))
    assert max(counts) > 2 * min(counts)


def test_shapes_beyond_the_largest_twenty_are_ignored(pictures: list[SourcePicture]) -> None:
    full = [picture for picture in pictures if picture.ids.max() == MAX_SHAPES]
    assert full
    assert all(picture.ignore.any() for picture in full)


def test_the_power_spectrum_falls_as_that_of_natural_images(pictures: list[SourcePicture]) -> None:
    """Power falls as about 1/f^2 to 1/f^3 (Lee, Mumford and Huang 2001, figure 5)."""
    side = SIZE[0]
    grey = np.stack([picture.color[:, :side].mean(-1) for picture in pictures])
    window = np.hanning(side)[:, None] * np.hanning(side)
    centred = (grey - grey.mean((1, 2), keepdims=True)) * window
    power = (np.abs(np.fft.fft2(centred)) ** 2).mean(0)
    frequency = np.fft.fftfreq(side, 1 / side)
    radius = np.hypot(frequency[:, None], frequency)
    rings = np.array([3, 6, 12, 24])
    means = [power[(radius >= r) & (radius < 1.4 * r)].mean() for r in rings]
    slope = np.polyfit(np.log(rings), np.log(means), 1)[0]
    assert -3.4 < slope < -1.8


def _square(radius_px: float, prints: tuple[tuple[np.ndarray, Leaf], ...] = ()) -> Leaf:
    corners = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    recolour = np.zeros((3, 4))
    recolour[:, 3] = 200.0 if prints else 80.0
    fill = Fill(0, np.eye(3)[:2], recolour, None)
    return Leaf([[corners, 0.5 * corners]], np.eye(2) * radius_px, radius_px, fill, 0, prints)


def test_holes_show_what_is_below_and_prints_stay_on_their_leaf() -> None:
    printed = _square(30.0)
    leaf = _square(20.0, ((np.zeros(2), printed),))
    painting = Painting(Fill(0, np.eye(3)[:2], np.zeros((3, 4)), None), None, (100, 100))
    painting.put(leaf, 5, Pose(np.array([50.0, 50.0]), np.eye(2)))
    assert painting.owner[50, 50] == 0 and painting.color[50, 50].max() == 0
    assert painting.owner[50, 33] == 5
    # The ring of the print spans 15 to 30 pixels from the middle, the leaf only 10 to 20.
    assert painting.color[50, 33].tolist() == [80, 80, 80]
    assert painting.color[50, 38].tolist() == [200, 200, 200]
    assert painting.color[50, 24].max() == 0 and painting.owner[50, 24] == 0


def test_a_leaf_outside_changes_nothing_and_a_shadow_falls_beside_its_leaf() -> None:
    white = Fill(0, np.eye(3)[:2], np.column_stack([np.zeros((3, 3)), np.full(3, 255)]), None)
    painting = Painting(white, Shadow(0.5, np.array([1.0, 0.0])), (100, 100))
    painting.put(_square(10.0), 1, Pose(np.array([-80.0, 50.0]), np.eye(2)))
    assert painting.color.min() == 255 and not painting.owner.any()
    painting.put(_square(10.0), 1, Pose(np.array([40.0, 50.0]), np.eye(2)))
    # The square spans columns 30 to 50, its shadow 40 to 60.
    assert painting.color[50, 58].max() < 255 and painting.owner[50, 58] == 0
    assert painting.color[50, 20].min() == 255
