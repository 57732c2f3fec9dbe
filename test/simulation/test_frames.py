"""Simulated frames: the same for a seed, with truth that can be asked for."""

from __future__ import annotations

import numpy as np

from repsam_ros.datasets.simulated import MIN_VISIBLE_SHARE
from repsam_ros.simulation.frames import render_frames


def test_same_seed_gives_the_same_frames_with_usable_truth() -> None:
    first = list(render_frames(seed=1, count=2, width=80, height=60))
    second = list(render_frames(seed=1, count=2, width=80, height=60))
    other = next(render_frames(seed=2, count=1, width=80, height=60))
    for a, b in zip(first, second, strict=True):
        assert a.name == b.name
        assert np.array_equal(a.frame.color, b.frame.color)
        assert np.array_equal(a.frame.depth_m, b.frame.depth_m)
        sizes = np.bincount(a.labels.ravel())[1:]
        assert sizes[sizes > 0].min() >= MIN_VISIBLE_SHARE * a.labels.size
        assert not a.labels[a.ignore].any()
    assert not np.array_equal(first[0].frame.color, other.frame.color)
