"""What a cross-validation can be told."""

from __future__ import annotations

from typing import Any

import pytest

from repsam_ros.adaptation.crossval.config import CrossvalConfig
from repsam_ros.config import build_config
from repsam_ros.errors import ConfigError

LORA = {"name": "lora", "method": "lora"}


def config(**given: Any) -> CrossvalConfig:
    plain = {"base": "repsam_tiny", "data": {"name": "mosd", "root": "x"}, "train": {}}
    return build_config(CrossvalConfig, {**plain, "arms": [LORA], **given}, "test")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"arms": [LORA, LORA]}, "arm lora is given twice"),
        ({"arms": [{**LORA, "name": "a/b"}]}, "'a/b': only letters"),
        ({"arms": [{**LORA, "see": "infrared"}]}, "see must be one of rgbd, rgb, depth"),
        ({"arms": [{**LORA, "learning_rates": [1e-3, 1e-3]}]}, "learning_rates must be given"),
        ({"arms": []}, "arms and seeds must not be empty"),
        ({"folds": 1}, "folds must be at least 2"),
        ({"arms": [{**LORA, "learning_rates": [1e-3, 1e-4]}], "folds": 2}, "at least 3"),
        ({"metric": "beauty"}, "unknown metric 'beauty'"),
        ({"train": {"method": "lora"}}, "train.method is the experiment's"),
        ({"train": {"data": {"source": {}}}}, "train.data is the experiment's"),
        ({"data": {"name": "mosd", "root": "x", "frames": ["a"]}}, "data.frames is the exp"),
    ],
)
def test_what_does_not_go_together_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**given)


def test_arms_are_held_against_those_that_see_the_same() -> None:
    arms = [
        {"name": "blind", "method": "full_finetuning", "see": "rgb"},
        {"name": "full", "method": "full_finetuning"},
        {"name": "base_rgb", "method": "zero_shot", "see": "rgb"},
        {"name": "base", "method": "zero_shot"},
    ]
    found = config(arms=arms)
    full, base, base_rgb = found.full_arm(), found.zero_shot_arm("rgbd"), found.zero_shot_arm("rgb")
    assert full is not None and full.name == "full"
    assert base is not None and base.name == "base"
    assert base_rgb is not None and base_rgb.name == "base_rgb"
    assert found.zero_shot_arm("depth") is None and config().full_arm() is None
