"""Pieces that an occluder has cut are joined; what merely looks alike is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError
from repsam_ros.perception.fragments import FragmentSettings, group_fragments
from repsam_ros.structures import Intrinsics

HEIGHT, WIDTH = 120, 160
CAMERA = Intrinsics(150.0, 150.0, 79.5, 59.5, WIDTH, HEIGHT)
LEFT, RIGHT = (slice(50, 75), slice(40, 65)), (slice(50, 75), slice(85, 110))
BAR = (slice(30, 90), slice(65, 85))
Picture = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def picture(
    back_m: float = 0.8, bar_m: float = 0.7, right_m: float | None = None, turn: float = 0.0
) -> Picture:
    """Two pieces of a wall and a bar before them; ``turn`` tilts the right piece, metres/pixel."""
    depth = np.full((HEIGHT, WIDTH), 1.2, np.float32)
    depth[LEFT] = back_m
    depth[RIGHT] = back_m if right_m is None else right_m
    depth[RIGHT] += turn * np.arange(25, dtype=np.float32)[None]
    depth[BAR] = bar_m
    logits = np.full((3, HEIGHT, WIDTH), -6.0, np.float32)
    for mask, place in zip(logits, (LEFT, BAR, RIGHT), strict=True):
        mask[place] = 5.0
    return logits, np.array([0.9, 0.8, 0.7], np.float32), depth


def groups(shown: Picture, options: FragmentSettings | None = None) -> list[int]:
    return group_fragments(*shown, CAMERA, options or FragmentSettings()).tolist()


@given(st.floats(0.5, 1.1), st.floats(0.06, 0.3), st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_a_wall_behind_a_bar_is_one_object(back_m: float, step_m: float, seed: int) -> None:
    logits, scores, depth = picture(back_m, back_m - step_m)
    depth += np.random.default_rng(seed).normal(0, 0.001, depth.shape).astype(np.float32)
    assert groups((logits, scores, depth)) == [0, 1, 0]


@given(st.permutations(range(3)))
@settings(deadline=None)
def test_the_order_of_masks_does_not_matter(order: list[int]) -> None:
    logits, scores, depth = picture()
    found = groups((logits[order], scores[order], depth))
    pieces = [order.index(0), order.index(2)]
    expected = [min(pieces) if k in pieces else k for k in range(3)]
    assert found == expected


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (picture(right_m=0.84), "one is behind the other"),
        (picture(turn=0.004), "one is turned"),
        (picture(bar_m=0.9), "the bar is behind"),
        (picture(bar_m=1.2), "nothing is between"),
    ],
)
def test_what_is_not_one_surface_behind_something_stays_apart(shown: Picture, why: str) -> None:
    assert groups(shown) == [0, 1, 2], why


def test_a_gap_that_is_open_below_the_bar_keeps_them_apart() -> None:
    logits, scores, depth = picture()
    depth[60:, 65:85] = 1.2
    logits[1, 60:, 65:85] = -6.0
    assert groups((logits, scores, depth)) == [0, 1, 2]


def test_a_network_that_is_sure_is_believed() -> None:
    logits, scores, depth = picture()
    logits[0][RIGHT] = logits[2][LEFT] = -9.0
    assert groups((logits, scores, depth)) == [0, 1, 2]
    assert groups((logits, scores, depth), FragmentSettings(min_logit=-10.0)) == [0, 1, 0]


def test_pieces_join_over_several_occluders() -> None:
    logits, scores, depth = picture()
    bar, piece = (slice(30, 90), slice(110, 125)), (slice(50, 75), slice(125, 150))
    depth[bar], depth[piece] = 0.7, 0.8
    more = np.full((2, HEIGHT, WIDTH), -6.0, np.float32)
    more[0][bar], more[1][piece] = 5.0, 5.0
    shown = np.concatenate([logits, more]), np.full(5, 0.8, np.float32), depth
    assert groups(shown) == [0, 1, 0, 3, 0]


@given(st.permutations(range(7)))
@settings(deadline=None, max_examples=30)
@example([0, 4, 5, 6, 3, 1, 2])
def test_four_pieces_are_named_by_the_first_in_whatever_order_they_join(order: list[int]) -> None:
    depth = np.full((HEIGHT, WIDTH), 1.2, np.float32)
    logits = np.full((7, HEIGHT, WIDTH), -6.0, np.float32)
    for k in range(7):  # piece, bar, piece, ... from left to right
        is_piece = k % 2 == 0
        left = 10 + 20 * k
        place = (slice(50, 75) if is_piece else slice(30, 90), slice(left, left + 20))
        depth[place], logits[k][place] = (0.8 if is_piece else 0.7), 5.0
    found = groups((logits[order], np.full(7, 0.8, np.float32), depth))
    first = min(order.index(k) for k in range(0, 7, 2))
    assert found == [first if k % 2 == 0 else place for place, k in enumerate(order)]


def test_nothing_is_joined_without_depth_or_when_switched_off() -> None:
    logits, scores, depth = picture()
    assert groups((logits, scores, np.zeros_like(depth))) == [0, 1, 2]
    assert groups((logits, scores, depth), replace(FragmentSettings(), enabled=False)) == [0, 1, 2]
    assert groups((logits[:1], scores[:1], depth)) == [0]
    assert groups((logits[:0], scores[:0], depth)) == []


@pytest.mark.parametrize("values", [{"max_offset_m": 0.0}, {"min_occluded": 1.5}, {"inlier_m": -1}])
def test_impossible_settings_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="fragments"):
        FragmentSettings(**values)
