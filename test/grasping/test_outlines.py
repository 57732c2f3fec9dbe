from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repsam_ros.grasping.gripper import Gripper
from repsam_ros.grasping.outlines import _ends, outlined_parts
from repsam_ros.grasping.settings import SearchSettings
from repsam_ros.grasping.slabs import Hands, Surface, held_parts

SETTINGS = SearchSettings()
CELL_M = 0.004


@given(
    layers=st.lists(st.lists(st.booleans(), min_size=39, max_size=39), min_size=1, max_size=3),
    gap=st.integers(1, 8),
)
def test_runs_agree_with_a_walk_from_the_middle(layers: list[list[bool]], gap: int) -> None:
    rows = np.array(layers)
    rows[:, 19] = True
    row, cell = np.nonzero(rows)
    held = np.ones((1, len(row)), bool)
    low, high = _ends(row, cell.astype(np.uint8), held, 19, gap)

    def walk(occupied: np.ndarray, step: int) -> int:
        last = position = 19
        while 0 <= position < len(occupied) and abs(position - last) <= gap:
            last = position if occupied[position] else last
            position += step
        return last

    assert low[0].tolist() == [walk(each, -1) for each in rows]
    assert high[0].tolist() == [walk(each, 1) for each in rows]


def bumpy(rng: np.random.Generator) -> Surface:
    """Points all over a heap of boxes, seen in some orientations."""
    centres, halves = rng.uniform(-0.05, 0.05, (4, 3)), rng.uniform(0.005, 0.03, (4, 3))
    box = rng.integers(0, 4, 400)
    points = centres[box] + halves[box] * rng.uniform(-1, 1, (400, 3))
    normals = rng.normal(size=(400, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    axes = np.linalg.qr(rng.normal(size=(5, 3, 3)))[0].transpose(1, 0, 2)
    return Surface(*(each.astype(np.float32) for each in (points, normals, axes)))


@given(seed=st.integers(0, 2**31), opening_m=st.sampled_from([0.05, 0.08, 0.085, 0.3]))
@settings(max_examples=40, deadline=None)
def test_outlines_agree_with_slabs_to_a_cell(seed: int, opening_m: float) -> None:
    """What is held, hand by hand; where gaps are about as wide as a finger, either may be right."""
    rng = np.random.default_rng(seed)
    surface = bumpy(rng)
    hand = dataclasses.replace(SETTINGS, gripper=Gripper(opening_m=opening_m))
    rotation, sample = rng.integers(0, 5, 30), rng.integers(0, 400, 30)
    tips_m = np.sort(rng.uniform(0.005, 0.04, (3, 30)), axis=0)
    wanted = rng.random((3, 30)) < 0.8
    number, rough, *_ = outlined_parts(surface, rotation, sample, tips_m, wanted, hand)
    assert set(number) <= set(np.flatnonzero(wanted)) and (np.diff(number) > 0).all()
    hands = Hands(np.tile(rotation, 3), np.tile(sample, 3), tips_m.ravel())
    close, *_ = held_parts(surface, hands, hand)
    cell_m = max(CELL_M, hand.max_width_m / 24)
    span_m = close.high_m - close.low_m
    left_out = np.setdiff1d(np.flatnonzero(wanted), number)
    narrow = span_m[left_out] < hand.max_width_m - 2 * cell_m
    assert narrow.sum() <= 0.3 * wanted.sum()
    close = close.take(number)
    fits = span_m[number] < hand.max_width_m
    alike = np.abs(rough.low_m - close.low_m) <= cell_m + 1e-6
    alike &= np.abs(rough.high_m - close.high_m) <= cell_m + 1e-6
    assert alike[fits].sum() >= 0.7 * fits.sum()
    assert rough.top_m[fits & alike] == pytest.approx(close.top_m[fits & alike], abs=0.02)
    width_m = rough.high_m - rough.low_m
    assert (width_m >= 0).all() and (width_m <= hand.max_width_m + 1e-6).all()


def test_side_faces_give_grip_and_reaches_are_told_apart() -> None:
    """A cap on a wider box: only hands that reach down to the box hold all of it."""
    x = np.arange(-0.03, 0.031, 0.003)
    faces = [
        (np.stack(np.meshgrid(x, [y], z, indexing="ij"), -1).reshape(-1, 3), (0, np.sign(y), 0))
        for y, z in (
            (-0.012, np.arange(0, 0.014, 0.003)),
            (0.012, np.arange(0, 0.014, 0.003)),
            (-0.026, np.arange(0.016, 0.03, 0.003)),
            (0.026, np.arange(0.016, 0.03, 0.003)),
        )
    ]
    points = np.concatenate([each for each, _ in faces])
    normals = np.concatenate([np.tile(normal, (len(each), 1)) for each, normal in faces])
    surface = Surface(
        points.astype(np.float32),
        normals.astype(np.float32),
        np.eye(3, dtype=np.float32)[:, None],
    )
    sample = np.flatnonzero(np.abs(points - (0, 0.012, 0)).max(axis=1) < 1e-6)
    narrow = dataclasses.replace(SETTINGS, finger_clearance_m=0.02)
    tips_m = np.array([[0.01], [0.03]])
    both = np.ones((2, 1), bool)
    _, part, low, high = outlined_parts(surface, np.zeros(1, np.intp), sample, tips_m, both, narrow)
    middle_m = points[sample[0], 1]
    assert part.high_m + middle_m == pytest.approx([0.012, 0.026], abs=CELL_M + 1e-6)
    assert part.low_m + middle_m == pytest.approx([-0.012, -0.026], abs=CELL_M + 1e-6)
    assert low.grip.tolist() == high.grip.tolist() == [1, 1]
    assert part.count[0] < part.count[1] == (np.abs(points[:, 0]) <= 0.01).sum()


def test_no_hands_give_no_outlines() -> None:
    surface, nobody = bumpy(np.random.default_rng(0)), np.zeros(0, np.intp)
    _, part, low, high = outlined_parts(
        surface, nobody, nobody, np.zeros((3, 0)), np.zeros((3, 0), bool), SETTINGS
    )
    assert len(part.low_m) == len(low.grip) == len(high.ridge) == 0
