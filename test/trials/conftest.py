"""Tiny trials: small pictures of few objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from repsam_ros.config import build_config
from repsam_ros.trials.configuration import TrialsConfig
from repsam_ros.trials.object_set import objects_sha256

SCENE = {"kind": "packed", "materials": "mixed", "objects": [3, 3]}

PRIMARY = {"variant": "exact", "against": "no_masks", "claim_points": 12.0}


def tiny_content(**changes: Any) -> dict[str, Any]:
    """Single shots of three variants without a network at two scenes."""
    is_clutter = changes.get("protocol") == "clutter"
    content: dict[str, Any] = {
        "protocol": "single_shot",
        "scenes": 2,
        "objects_sha256": objects_sha256(),
        "strata": {"packed": {"first_seed": 1900, "scene": SCENE}},
        "variants": [
            {"name": "exact", "model": "oracle", "depth": "exact"},
            {"name": "random", "model": "oracle", "planner": "random_antipodal"},
            {"name": "no_masks", "model": "dbscan"},
        ],
        "primary": PRIMARY | {"test": "sign_flips" if is_clutter else "mcnemar"},
        "secondary": [{"variant": "exact", "against": "random"}],
        "camera": {"size": [160, 120]},
        "examples": 0,
    }
    return content | changes


@pytest.fixture(scope="session")
def tiny() -> Callable[..., TrialsConfig]:
    """Makes configurations of tiny trials."""
    return lambda **changes: build_config(TrialsConfig, tiny_content(**changes), "tiny")
