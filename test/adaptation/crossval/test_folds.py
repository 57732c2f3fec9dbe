"""Folds: every frame in one of them, frames of a scene together."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repsam_ros.adaptation.crossval.folds import inner_pair, make_folds
from repsam_ros.errors import ConfigError


@given(st.lists(st.integers(0, 12), min_size=4, max_size=40), st.integers(2, 6), st.integers(0, 9))
def test_frames_are_divided_and_scenes_are_not(numbers: list[int], count: int, seed: int) -> None:
    names = [f"frame{k}" for k in range(len(numbers))]
    scenes = [f"scene{k}" if k else "" for k in numbers]
    units = len({*scenes} - {""}) + scenes.count("")
    if units < count:
        kind = "scenes" if any(scenes) else "frames"
        with pytest.raises(ConfigError, match=f"{units} {kind} cannot be divided into {count}"):
            make_folds(names, scenes, count, seed)
        return
    folds = make_folds(names, scenes, count, seed)
    assert len(folds) == count and all(folds)
    assert sorted(name for fold in folds for name in fold) == sorted(names)
    scene_of = dict(zip(names, scenes, strict=True))
    homes: dict[str, set[int]] = {}
    for k, fold in enumerate(folds):
        assert [name for name in names if name in fold] == list(fold)
        for name in fold:
            homes.setdefault(scene_of[name] or name, set()).add(k)
    assert all(len(home) == 1 for home in homes.values())
    sizes = [len(fold) for fold in folds]
    largest = max(Counter(scene or name for name, scene in scene_of.items()).values())
    assert max(sizes) - min(sizes) <= largest
    assert make_folds(names, scenes, count, seed) == folds


def test_another_seed_divides_otherwise() -> None:
    names = [str(k) for k in range(45)]
    folds = [make_folds(names, [""] * 45, 5, seed) for seed in (0, 1)]
    assert folds[0] != folds[1]
    assert [len(fold) for fold in folds[0]] == [9] * 5


@given(st.integers(3, 9))
def test_each_fold_has_another_one_that_chooses_for_it(count: int) -> None:
    pairs = [inner_pair(fold, count) for fold in range(count)]
    assert all(a == fold and b != a and b < count for fold, (a, b) in enumerate(pairs))
    # Folds share trainings two by two, but for an odd one.
    assert len({frozenset(pair) for pair in pairs}) == (count + 1) // 2
