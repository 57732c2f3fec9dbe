"""Which frames are trained on, and which are held out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from repsam_ros.errors import ConfigError

Folds = tuple[tuple[str, ...], ...]


def make_folds(names: Sequence[str], scenes: Sequence[str], count: int, seed: int) -> Folds:
    """``count`` parts of about equal size, the same for a seed; within a part names keep their
    order.

    Args:
        scenes: Of each frame, "" = not known; frames of one scene come into one part.

    Raises:
        ConfigError: There are fewer scenes than parts.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for name, scene in zip(names, scenes, strict=True):
        groups.setdefault((scene, "" if scene else name), []).append(name)
    if len(groups) < count:
        what = "scenes" if any(scenes) else "frames"
        raise ConfigError(f"{len(groups)} {what} cannot be divided into {count} folds")
    shuffled = [
        list(groups.values())[k] for k in np.random.default_rng(seed).permutation(len(groups))
    ]
    parts: list[set[str]] = [set() for _ in range(count)]
    for group in sorted(shuffled, key=len, reverse=True):
        min(parts, key=len).update(group)
    return tuple(tuple(name for name in names if name in part) for part in parts)


def inner_pair(fold: int, count: int) -> tuple[int, int]:
    """``fold`` and the other fold that is left out of the trainings that choose its learning rate.

    Folds go in pairs, 0 and 1, 2 and 3, ...: a training without both serves both, scored for each
    on the frames of the other. So no frame has a say in the rate of the networks it will test.
    """
    other = fold ^ 1
    return fold, other if other < count else 0
