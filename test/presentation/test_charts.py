"""Charts: every value is drawn where its axis says, whatever the values are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from repsam_ros.presentation.charts import draw_chart

BLUE, ORANGE = (0, 114, 178), (213, 94, 0)


def area(image: np.ndarray, color: tuple[int, int, int]) -> int:
    """Pixels of a colour below the legend."""
    return int((image[45:] == color).all(-1).sum())


def test_bars_are_as_high_as_their_values() -> None:
    image = draw_chart("t", "rank", {"a": [2.0, 4.0], "b": [1.0, 0.0]}, bars=True)
    columns = (image[45:] == BLUE).all(-1).sum(0)
    first, second = columns[: image.shape[1] // 2].max(), columns[image.shape[1] // 2 :].max()
    assert abs(first * 2 - second) <= 2
    assert area(image, ORANGE) > 0


def test_a_missing_value_leaves_a_gap_and_intervals_reach_further() -> None:
    full = draw_chart("t", "CKA", {"a": [0.2, 0.5, 0.9]})
    gap = draw_chart("t", "CKA", {"a": [0.2, float("nan"), 0.9]})
    wide = draw_chart("t", "CKA", {"a": [0.2, 0.5, 0.9]}, {"a": [(0.0, 0.9)] * 3})
    assert area(gap, BLUE) < area(full, BLUE) < area(wide, BLUE)


@given(st.lists(st.floats(-1e6, 1e6), max_size=40), st.booleans())
def test_any_values_fit(values: list[float], bars: bool) -> None:
    image = draw_chart("t", "y", {"a": values}, bars=bars)
    assert image.dtype == np.uint8 and image.ndim == 3
