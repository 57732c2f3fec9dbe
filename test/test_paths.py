"""Files are written whole or not at all, and what goes wrong has a name."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from repsam_ros.paths import write_text


def test_a_write_that_breaks_off_names_the_file_and_leaves_what_was_there(tmp_path: Path) -> None:
    """As on a full disk; the operating system names no file then."""
    path = tmp_path / "kept.txt"
    write_text(path, "before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="kept") as caught:
            write_text(path, "x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(path)
    assert [each.read_text() for each in tmp_path.iterdir()] == ["before"]
