"""Tables in Markdown."""

from __future__ import annotations

from repsam_ros.presentation.markdown import table


def test_numbers_stand_flush_right_where_that_is_asked_for() -> None:
    heads, rows = ["name", "a", "b"], [["x", "1", "20"]]
    assert table(heads, rows) == "| name | a | b |\n| --- | --- | --- |\n| x | 1 | 20 |"
    _, rule, _ = table(heads, rows, align_numbers=True).splitlines()
    assert rule == "| --- | ---: | ---: |"
