"""What the plots of a report draw."""

from __future__ import annotations

import re

import pytest

from repsam_ros.presentation.score_plots import found_against_true, score_against_count, sorted_bars


def heights(svg: str) -> list[float]:
    return [float(value) for value in re.findall(r'<rect [^>]* height="([\d.]+)"', svg)]


def test_bars_are_sorted_and_as_high_as_their_values() -> None:
    svg = sorted_bars("Overlap F", [("a", 25.0), ("b & c", 100.0), ("d", 50.0)])
    high, middle, low = heights(svg)
    assert (middle / high, low / high) == pytest.approx((0.5, 0.25), abs=1e-3)
    assert "mean 58.3" in svg and "<title>b &amp; c: 100.0</title>" in svg


def test_many_images_are_one_shape() -> None:
    svg = sorted_bars("Overlap F", [(f"image {k}", k / 30) for k in range(3000)])
    assert heights(svg) == [] and svg.count("<path") == 1
    assert len(svg) < 60_000


def test_counts_of_no_object_at_all_are_drawn() -> None:
    assert "1 images with 0 true and 0 predicted" in found_against_true([(0, 0)])
    assert "0 objects 100" in score_against_count("Overlap F", [("empty", 0, 100.0)])


def test_equal_counts_share_a_dot_and_too_many_is_told_from_too_few() -> None:
    svg = found_against_true([(2, 2), (2, 2), (2, 5), (3, 1)])
    assert svg.count("<circle") == 3
    assert "2 images with 2 true and 2 predicted" in svg
    assert "1 images have too many, 1 too few, 2 as many as are true" in svg
