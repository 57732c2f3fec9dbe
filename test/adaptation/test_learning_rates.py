"""Which learning rate is taken, and when that is worth a warning."""

from __future__ import annotations

import pytest

from repsam_ros.adaptation.learning_rates import best_rate, check_rates
from repsam_ros.errors import ConfigError


def test_the_highest_score_counts_and_diverged_trainings_have_none() -> None:
    assert best_rate({1e-4: 40.0, 1e-3: None, 1e-2: 41.0}) == 1e-2
    assert best_rate({1e-3: None}) == 1e-3  # one alone is not scored


def test_a_best_rate_at_the_end_of_several_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    check_rates("lora", {1e-4: 40.0, 1e-3: 42.0, 1e-2: 41.0})
    check_rates("lora", {1e-4: 40.0, 1e-3: 42.0})  # one of two always is
    assert not caplog.records
    check_rates("lora", {1e-4: 40.0, 1e-3: 41.0, 1e-2: 42.0})
    assert "lora: the best rate, 0.01, is at the end of [0.0001, 0.001, 0.01]" in caplog.text


def test_there_is_no_best_rate_where_all_trainings_diverged() -> None:
    with pytest.raises(ConfigError, match=r"lora diverges at each of the rates \[0.01, 0.1\]"):
        check_rates("lora", {0.01: None, 0.1: None})
