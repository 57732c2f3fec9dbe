"""What trials can be told, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from repsam_ros.config import load_config
from repsam_ros.errors import ConfigError
from repsam_ros.paths import share_dir
from repsam_ros.simulation.objects import FAMILIES
from repsam_ros.trials import object_set
from repsam_ros.trials.configuration import TrialsConfig
from repsam_ros.trials.object_set import objects_sha256

Make = Callable[..., TrialsConfig]
PRIMARY = {"variant": "exact", "against": "no_masks", "test": "mcnemar", "claim_points": 12.0}
SHIPPED = sorted((share_dir() / "config" / "trials").glob("*.yaml"))


def strata(*first_seeds: int) -> dict[str, Any]:
    return {f"s{k}": {"first_seed": seed, "scene": {}} for k, seed in enumerate(first_seeds)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strata": strata(5)}, "neither for tuning"),
        ({"strata": strata(1999)}, "neither for tuning"),
        ({"strata": strata(1000, 1001)}, "share the seed 1001"),
        ({"strata": strata(1000, 500_000)}, "must not be mixed"),
        ({"strata": {}}, "must not be empty"),
        ({"protocol": "best_of_three"}, "protocol must be"),
        ({"renderer": "painting"}, "renderer must be one of"),
        ({"secondary": [{"variant": "exact", "against": "nobody"}]}, "which is no variant"),
        ({"primary": PRIMARY | {"test": "luck"}}, "test must be one of mcnemar, sign_flips"),
        ({"primary": PRIMARY, "protocol": "clutter"}, "compared by sign_flips alone"),
        ({"variants": [{"name": "a", "model": "oracle", "planner": "luck"}]}, "unknown planner"),
        ({"variants": [{"name": "a", "model": "oracle", "depth": "felt"}]}, "depth must be"),
        ({"variants": [{"name": "a/b", "model": "oracle"}]}, "only letters"),
        ({"variants": 2 * [{"name": "a", "model": "oracle"}], "primary": None}, "given twice"),
    ],
)
def test_what_makes_no_sense_is_refused(tiny: Make, changes: dict[str, Any], words: str) -> None:
    if "variants" in changes:
        changes = {"primary": None, "secondary": [], **changes}
    with pytest.raises(ConfigError, match=words):
        tiny(**changes)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_configurations_are_for_the_objects_there_are(path: Any) -> None:
    """Where this fails objects have changed: results of before do not belong to those of now."""
    assert load_config(TrialsConfig, path).objects_sha256 == objects_sha256()


def test_results_come_from_held_out_scenes_and_one_comparison() -> None:
    config, clutter = (
        load_config(TrialsConfig, share_dir() / "config" / "trials" / f"{name}.yaml")
        for name in ("single_shot", "clutter")
    )
    assert config.is_held_out and clutter.is_held_out
    seeds = [{seed for name in c.strata for seed in c.seeds(name)} for c in (config, clutter)]
    assert not seeds[0] & seeds[1]
    assert config.primary is not None and clutter.primary is None
    assert (config.primary.variant, config.primary.against) == ("repsam", "lora_rgb")
    assert (config.primary.test, config.primary.claim_points) == ("mcnemar", 12.0)
    see = {variant.name: variant.see for variant in config.variants}
    assert (see["repsam"], see["lora_rgb"]) == ("rgbd", "rgb")


def test_tuning_never_touches_a_held_out_scene() -> None:
    names = ("tuning", "smoke")
    for path in (share_dir() / "config" / "trials" / f"{name}.yaml" for name in names):
        assert not load_config(TrialsConfig, path).is_held_out


def test_another_shape_friction_or_choice_of_objects_is_another_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = objects_sha256()
    assert before == objects_sha256()
    found = {before}
    with monkeypatch.context() as patch:
        patch.setattr(object_set, "FRICTION", (0.5, 0.005, 0.0015))
        found.add(objects_sha256())
    with monkeypatch.context() as patch:
        patch.setattr(object_set.scene, "GRASPABLE_M", (0.015, 0.08))
        found.add(objects_sha256())
    with monkeypatch.context() as patch:
        heavier = replace(FAMILIES["can"], density=(2000.0, 3000.0))
        patch.setitem(FAMILIES, "can", heavier)
        found.add(objects_sha256())
    assert len(found) == 4
