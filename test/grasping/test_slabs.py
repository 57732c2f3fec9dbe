from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repsam_ros.grasping.settings import SearchSettings
from repsam_ros.grasping.slabs import Hands, Surface, _runs, held_parts

SETTINGS = SearchSettings()


@given(
    row=st.lists(st.booleans(), min_size=5, max_size=40),
    centre=st.integers(0, 100),
    gap=st.integers(1, 6),
)
def test_runs_agree_with_a_walk_from_the_centre(row: list[bool], centre: int, gap: int) -> None:
    centre %= len(row)
    row[centre] = True

    def walk(step: int) -> int:
        last = position = centre
        while 0 <= position < len(row) and abs(position - last) <= gap:
            last = position if row[position] else last
            position += step
        return last

    left, right = _runs(np.array([row]), centre, gap)
    assert (left[0], right[0]) == (walk(-1), walk(1))


def surface_of(points: np.ndarray, normals: np.ndarray) -> Surface:
    """One orientation whose axes are those of the points."""
    axes = np.eye(3, dtype=np.float32)[:, None]
    return Surface(points.astype(np.float32), normals.astype(np.float32), axes)


def hand_at(points: np.ndarray, place: tuple[float, float, float], tip_m: float) -> Hands:
    sample = int(np.linalg.norm(points - place, axis=1).argmin())
    return Hands(np.zeros(1, np.intp), np.array([sample]), np.array([tip_m]))


def plate(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1).reshape(-1, 3)


ACROSS = np.arange(-0.05, 0.05, 0.003)


def test_the_part_ends_at_a_gap_that_a_finger_fits_into() -> None:
    y = np.concatenate((np.arange(0, 0.02, 0.003), np.arange(0.045, 0.07, 0.003)))
    points = plate(ACROSS, y, np.zeros(1))
    normals = np.tile((0, 0, -1.0), (len(points), 1))
    part, low, high = held_parts(
        surface_of(points, normals), hand_at(points, (0, 0.009, 0), 0.01), SETTINGS
    )
    assert part.high_m[0] - part.low_m[0] == pytest.approx(0.018, abs=1e-4)
    assert low.ridge[0] == high.ridge[0] == pytest.approx(1)
    assert low.grip[0] == high.grip[0] == 0


def test_a_narrow_gap_does_not_split_the_part() -> None:
    y = np.concatenate((np.arange(0, 0.02, 0.003), np.arange(0.03, 0.05, 0.003)))
    points = plate(ACROSS, y, np.zeros(1))
    surface, hands = surface_of(points, np.zeros_like(points)), hand_at(points, (0, 0, 0), 0.01)
    part, _, _ = held_parts(surface, hands, SETTINGS)
    assert part.high_m[0] - part.low_m[0] == pytest.approx(0.048, abs=1e-3)


def test_side_faces_give_grip() -> None:
    sides = [plate(ACROSS, np.array([y]), np.arange(0, 0.03, 0.003)) for y in (-0.02, 0.02)]
    top = plate(ACROSS, np.arange(-0.02, 0.0201, 0.004), np.zeros(1))
    points = np.concatenate((*sides, top))
    normals = np.repeat([(0, -1.0, 0), (0, 1.0, 0), (0, 0, -1.0)], [*map(len, (*sides, top))], 0)
    _, low, high = held_parts(
        surface_of(points, normals), hand_at(points, (0, 0, 0), 0.02), SETTINGS
    )
    assert low.grip[0] == high.grip[0] == 1


def test_a_slope_cut_by_the_finger_tips_is_no_edge() -> None:
    y = np.arange(-0.06, 0.06, 0.003)
    points = np.stack(np.meshgrid(ACROSS, y, indexing="ij"), axis=-1).reshape(-1, 2)
    points = np.column_stack((points, np.abs(points[:, 1]) * 0.5))
    slope = np.array([0, np.sin(np.arctan(0.5)), -np.cos(np.arctan(0.5))])
    normals = slope * np.column_stack(
        (points[:, 0] * 0, np.sign(points[:, 1]), np.ones(len(points)))
    )
    _, low, high = held_parts(
        surface_of(points, normals), hand_at(points, (0, 0, 0), 0.01), SETTINGS
    )
    assert low.ridge[0] == high.ridge[0] == low.grip[0] == high.grip[0] == 0


def test_a_corner_is_no_square_edge() -> None:
    grid = plate(np.arange(-0.08, 0.08, 0.003), np.arange(-0.08, 0.08, 0.003), np.zeros(1))
    diamond = grid[np.abs(grid[:, :2]).sum(axis=1) < 0.03]
    normals = np.tile((0, 0, -1.0), (len(diamond), 1))
    _, low, high = held_parts(
        surface_of(diamond, normals), hand_at(diamond, (0, 0, 0), 0.01), SETTINGS
    )
    assert low.ridge[0] == high.ridge[0] == 0


def test_a_thin_wall_is_a_sheet_from_its_back() -> None:
    points = plate(ACROSS, np.arange(-0.002, 0.003, 0.002), np.arange(0, 0.03, 0.003))
    normals = np.tile((0, 1.0, 0), (len(points), 1))
    _, low, high = held_parts(
        surface_of(points, normals), hand_at(points, (0, 0, 0), 0.02), SETTINGS
    )
    assert high.grip[0] == pytest.approx(1) and high.sheet[0] == 0
    assert low.sheet[0] == pytest.approx(1) and low.grip[0] == low.ridge[0] == 0


def test_no_hands_give_no_parts() -> None:
    points = plate(ACROSS, ACROSS, np.zeros(1))
    nobody = Hands(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0))
    part, low, high = held_parts(surface_of(points, points), nobody, SETTINGS)
    assert len(part.count) == len(low.grip) == len(high.ridge) == 0
