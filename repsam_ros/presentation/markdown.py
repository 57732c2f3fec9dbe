"""What the Markdown pages of results share."""

from __future__ import annotations

from collections.abc import Sequence


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, align_numbers: bool = False
) -> str:
    """A table in Markdown.

    Args:
        align_numbers: Whether all columns but the first are set flush right.
    """
    others = "---:" if align_numbers else "---"
    lines = [heads, ["---", *[others] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
