"""Stacked bars: shares of a whole, as the shapes of the file say."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from repsam_ros.presentation.stacked_bars import COLORS, stacked_bars


def test_bars_fill_their_row() -> None:
    parts = dict(zip(("a & b", "c", "d"), COLORS, strict=False))
    svg = stacked_bars(parts, {"one": {"a & b": 1, "c": 3}, "none": {}}, {"one": "n = 4"})
    names = {"svg": "http://www.w3.org/2000/svg"}
    shapes = ElementTree.fromstring(svg).findall("svg:rect", names)
    bars = [shape for shape in shapes if shape.find("svg:title", names) is not None]
    widths = [float(shape.get("width", "")) for shape in bars]
    assert widths[1] == pytest.approx(3 * widths[0], rel=0.01)
    assert float(bars[1].get("x", "")) == pytest.approx(
        float(bars[0].get("x", "")) + widths[0], abs=0.2
    )
    assert "a &amp; b: 25 %" in svg and "n = 4" in svg
