"""What the tests of all verbs share."""

from __future__ import annotations

import math

import pytest


@pytest.fixture(autouse=True)
def no_lines_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps stderr to what does not depend on how busy the machine is."""
    monkeypatch.setattr("repsam_ros.progress._LOG_PERIOD_S", math.inf)
