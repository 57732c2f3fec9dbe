"""Bootstrap intervals against what theory says about a mean."""

from __future__ import annotations

import numpy as np
import pytest

from repsam_ros.errors import ConfigError
from repsam_ros.evaluation.statistics import BootstrapSettings, bootstrap_intervals


def test_interval_is_that_of_the_normal_mean() -> None:
    values = np.random.default_rng(3).normal(50, 10, (400, 1))
    lower, upper = bootstrap_intervals(values, BootstrapSettings())[:, 0]
    half = 1.96 * values.std() / 20
    assert lower == pytest.approx(values.mean() - half, abs=0.15)
    assert upper == pytest.approx(values.mean() + half, abs=0.15)


def test_equal_values_have_no_width_and_seeds_repeat() -> None:
    constant = np.full((5, 2), [3.0, 4.0])
    assert bootstrap_intervals(constant, BootstrapSettings(samples=9)).tolist() == [[3, 4], [3, 4]]
    values = np.arange(20.0)[:, None]
    first, again, other = (
        bootstrap_intervals(values, BootstrapSettings(samples=50, seed=seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_no_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match="samples"):
        BootstrapSettings(samples=0)
