"""A tiny collection: one object, a small picture, few attempts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from repsam_ros.config import build_config
from repsam_ros.trials.object_set import objects_sha256
from repsam_ros.trials.scorer.settings import ScorerConfig

STRATA = {"few": {"first_seed": 400000, "scene": {"kind": "packed", "objects": [2, 2]}}}


@pytest.fixture(scope="session")
def tiny_scorer() -> Callable[..., ScorerConfig]:
    """Makes configurations of tiny collections."""

    def make(**changes: Any) -> ScorerConfig:
        content = {
            "scenes": 2,
            "objects_sha256": objects_sha256(),
            "strata": STRATA,
            "sampling": {"attempts": 6},
            "training": {"channels": [4, 4, 4], "hidden": 8, "epochs": 2, "validation_every": 2},
            "camera": {"size": [160, 120]},
            "execution": {"hold_s": 0.1, "lift_m": 0.11},
        }
        return build_config(ScorerConfig, content | changes, "tiny")

    return make
