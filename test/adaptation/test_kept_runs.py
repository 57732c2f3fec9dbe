"""Kept results: only those of the same plan are taken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from repsam_ros.adaptation.kept_runs import check_plan
from repsam_ros.errors import ConfigError


@dataclass(frozen=True)
class _Run:
    plan: dict[str, Any]


def test_what_differs_is_named_beside_what_follows_from_it() -> None:
    first, second = (_Run({"train": {"save_every": n, "steps": n}, "ranks": [1]}) for n in (2, 3))
    check_plan(Path("run.json"), first, first)
    with pytest.raises(ConfigError, match=r"^run\.json .* train\.steps is 2 there, 3 here$"):
        check_plan(Path("run.json"), first, second)
