"""Okabe and Ito's colours, which people with colour blindness tell apart."""

from __future__ import annotations

BLUE, VERMILION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
ORANGE, SKY_BLUE, YELLOW = "#e69f00", "#56b4e9", "#f0e442"


def rgb(color: str) -> tuple[int, int, int]:
    """Red, green and blue of ``#rrggbb``."""
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue
