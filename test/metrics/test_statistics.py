"""Intervals and tests against theory, hand-counted cases and data of known truth."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from repsam_ros.errors import ConfigError
from repsam_ros.metrics.statistics import (
    BootstrapSettings,
    bootstrap_intervals,
    equivalence_test,
    holm,
    mcnemar_test,
    means_with_intervals,
    p_clause,
    p_text,
    rank_correlation,
    scene_groups,
    sign_flip_test,
)

DIFFERENCES = hnp.arrays(np.float64, st.integers(2, 9), elements=st.integers(-20, 20))
PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def binomial_bounds(repetitions: int, probability: float) -> tuple[int, int]:
    """Counts that a right method leaves once in 10,000 times."""
    low, high = stats.binom.interval(0.9999, repetitions, probability)
    return int(low), int(high)


def grouped_differences(
    rng: np.random.Generator, groups: int, spread: float
) -> tuple[np.ndarray, np.ndarray]:
    """Differences of mean zero in groups of 1 to 7 images, alike within a group."""
    group = np.repeat(np.arange(groups), rng.integers(1, 8, groups))
    return rng.normal(0, spread, groups)[group] + rng.normal(0, 1, len(group)), group


def covered(
    repetitions: int, make: Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray | None]]
) -> int:
    """How often the 95 % interval of data with mean zero holds zero."""
    count = 0
    for seed in range(repetitions):
        values, groups = make(np.random.default_rng(seed))
        low, high = bootstrap_intervals(values[:, None], BootstrapSettings(300, seed), groups)[:, 0]
        count += low <= 0 <= high
    return count


def test_interval_is_that_of_the_normal_mean() -> None:
    values = np.random.default_rng(3).normal(50, 10, (400, 1))
    lower, upper = bootstrap_intervals(values, BootstrapSettings())[:, 0]
    half = 1.96 * values.std() / 20
    assert lower == pytest.approx(values.mean() - half, abs=0.15)
    assert upper == pytest.approx(values.mean() + half, abs=0.15)


def test_means_and_intervals_go_by_name() -> None:
    values = np.random.default_rng(3).normal((20, 70), 5, (40, 2))
    told = means_with_intervals(("a", "b"), values, BootstrapSettings(50, 7))
    bounds = bootstrap_intervals(values, BootstrapSettings(50, 7))
    assert told["mean"]["b"] == pytest.approx(values[:, 1].mean(), abs=1e-4)
    assert told["ci95"]["a"] == pytest.approx(bounds[:, 0], abs=1e-4)


@pytest.mark.parametrize("groups", [None, np.array([5])])
def test_one_image_has_a_mean_and_no_interval(groups: np.ndarray | None) -> None:
    values = np.array([[60.0, 70.0]])
    told = means_with_intervals(("a", "b"), values, BootstrapSettings(50), groups)
    assert told == {"mean": {"a": 60, "b": 70}, "ci95": {"a": None, "b": None}}


def test_interval_of_few_images_is_that_of_student() -> None:
    values = np.random.default_rng(3).normal(50, 10, (12, 1))
    lower, upper = bootstrap_intervals(values, BootstrapSettings(20_000))[:, 0]
    half = stats.t.ppf(0.975, 11) * values.std(ddof=1) / np.sqrt(12)
    assert upper - lower == pytest.approx(2 * half, rel=0.06)


def test_equal_values_have_no_width_and_seeds_repeat() -> None:
    constant = np.full((5, 2), [3.0, 4.0])
    assert bootstrap_intervals(constant, BootstrapSettings(samples=9)).tolist() == [[3, 4], [3, 4]]
    assert bootstrap_intervals(constant[:1], BootstrapSettings(9)).tolist() == [[3, 4], [3, 4]]
    values = np.arange(20.0)[:, None]
    first, again, other = (
        bootstrap_intervals(values, BootstrapSettings(samples=50, seed=seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_alike_images_count_as_one() -> None:
    scenes = np.random.default_rng(1).normal(0, 1, 12)
    groups = np.repeat(np.arange(12), 6)
    widths = [
        np.ptp(bootstrap_intervals(scenes[groups, None], BootstrapSettings(), g)[:, 0])
        for g in (None, groups)
    ]
    assert widths[1] / widths[0] == pytest.approx(np.sqrt(6), rel=0.2)
    as_units = np.ptp(bootstrap_intervals(scenes[:, None], BootstrapSettings())[:, 0])
    assert widths[1] == pytest.approx(as_units, rel=0.05)


def test_order_of_grouped_images_does_not_change_what_is_drawn_from() -> None:
    values = np.array([1.0, 5, 1, 5, 1])
    low, high = bootstrap_intervals(
        values[:, None], BootstrapSettings(200), np.array([7, 2, 7, 2, 7])
    )[:, 0]
    # Each group is constant: means are 1, 5 or (3 * 1 + 2 * 5) / 5.
    assert (low, high) == (1, 5)


def test_no_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match="samples"):
        BootstrapSettings(samples=0)


@pytest.mark.parametrize(
    ("scenes", "groups"),
    [
        (["b", "a/x", "b", "a/x"], [1, 0, 1, 0]),
        (["", ""], None),
        (["a", "a"], None),
        (["a", "b"], None),
    ],
)
def test_scenes_are_units_where_they_are_known(scenes: list[str], groups: list[int] | None) -> None:
    found = scene_groups(scenes)
    assert (None if found is None else found.tolist()) == groups


def test_intervals_of_images_cover_the_truth() -> None:
    low, high = binomial_bounds(300, 0.95)
    hits = covered(300, lambda rng: (rng.normal(0, 1, 20), None))
    assert low <= hits <= high


def test_intervals_of_scenes_cover_the_truth_where_those_of_images_do_not() -> None:
    low, high = binomial_bounds(300, 0.95)
    assert low <= covered(300, lambda rng: grouped_differences(rng, 15, 1.0)) <= high
    alike = covered(300, lambda rng: (grouped_differences(rng, 15, 1.0)[0], None))
    assert alike < low


@pytest.mark.slow
@pytest.mark.parametrize("groups", [10, 40])
@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_coverage_over_many_repetitions(groups: int, spread: float) -> None:
    # Percentiles are only asymptotically right, hence one point beyond chance; groups that are
    # hardly alike are covered a little too often.
    low, _ = binomial_bounds(3000, 0.94)
    _, high = binomial_bounds(3000, 0.985)
    assert low <= covered(3000, lambda rng: grouped_differences(rng, groups, spread)) <= high


def test_sign_flips_by_hand() -> None:
    # Of 8 sign patterns of (1, 2, 3), 2 have a sum of 6 or -6; of (1, 2, -3), all reach zero.
    assert sign_flip_test(np.array([1.0, 2, 3])) == pytest.approx(2 / 8)
    assert sign_flip_test(np.array([1.0, 2, -3])) == 1
    # The ablation's rule: five seeds cannot go below this.
    assert sign_flip_test(np.full(5, 0.7)) == pytest.approx(0.0625)
    assert sign_flip_test(np.zeros(4)) == 1
    assert sign_flip_test(np.array([3.0])) == 1


@settings(max_examples=40, deadline=None)
@given(DIFFERENCES)
def test_sign_flips_count_every_pattern(differences: np.ndarray) -> None:
    sums = [abs(np.dot(signs, differences)) for signs in product((-1, 1), repeat=len(differences))]
    expected = np.mean(np.array(sums) >= abs(differences.sum()))
    assert sign_flip_test(differences) == pytest.approx(expected)


def test_groups_flip_as_a_whole() -> None:
    differences = np.array([1.0, 1, 1, 2, 2, 2])
    groups = np.array([4, 4, 4, 9, 9, 9])
    assert sign_flip_test(differences, groups) == sign_flip_test(np.array([3.0, 6.0])) == 0.5
    assert sign_flip_test(differences) == pytest.approx(2 / 64)


def test_many_groups_are_drawn_and_p_is_never_zero() -> None:
    differences = np.random.default_rng(0).normal(5, 1, 40)
    assert sign_flip_test(differences) == pytest.approx(2 / 10_000)
    doubtful = np.random.default_rng(0).normal(0.2, 1, 40)
    p = sign_flip_test(doubtful, seed=4)
    assert p == sign_flip_test(doubtful, seed=4)
    assert p == pytest.approx(stats.ttest_1samp(doubtful, 0).pvalue, abs=0.03)


@pytest.mark.parametrize("count", [10, 30])
def test_sign_flips_err_as_often_as_they_say(count: int) -> None:
    rng = np.random.default_rng(count)
    false_alarms = sum(sign_flip_test(rng.laplace(0, 1, count), seed=k) <= 0.05 for k in range(300))
    low, high = binomial_bounds(300, 0.05)
    assert low <= false_alarms <= high


@pytest.mark.slow
@pytest.mark.parametrize("groups", [10, 30])
def test_sign_flips_of_scenes_err_as_often_as_they_say(groups: int) -> None:
    rng = np.random.default_rng(groups)
    false_alarms = sum(
        sign_flip_test(*grouped_differences(rng, groups, 1.0), seed=k) <= 0.05 for k in range(3000)
    )
    low, high = binomial_bounds(3000, 0.05)
    assert low <= false_alarms <= high


def test_equivalence_is_two_paired_t_tests() -> None:
    differences = np.random.default_rng(2).normal(0.1, 1, 25)
    above = stats.ttest_1samp(differences, -0.5, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, 0.5, alternative="less").pvalue
    assert equivalence_test(differences, 0.5) == pytest.approx(max(above, below))
    # Groups of equal size: the test on their means.
    means = differences.reshape(5, 5).mean(axis=1)
    expected = max(
        stats.ttest_1samp(means, -0.5, alternative="greater").pvalue,
        stats.ttest_1samp(means, 0.5, alternative="less").pvalue,
    )
    grouped = equivalence_test(differences, 0.5, np.repeat([2, 3, 5, 7, 11], 5))
    assert grouped == pytest.approx(expected)


def test_equivalence_at_its_limits() -> None:
    assert equivalence_test(np.full(4, 0.2), 0.5) == 0
    assert equivalence_test(np.full(4, 0.5), 0.5) == 1
    assert equivalence_test(np.full(4, -0.7), 0.5) == 1
    assert equivalence_test(np.array([0.0]), 0.5) == 1
    assert equivalence_test(np.array([0.0, 0.1]), 0.5, np.array([3, 3])) == 1
    for margin in (0, -1, np.nan):
        with pytest.raises(ConfigError, match="margin"):
            equivalence_test(np.zeros(4), margin)


@pytest.mark.parametrize("side", [-1, 1])
def test_equivalence_errs_as_often_as_it_says(side: int) -> None:
    rng = np.random.default_rng(5 + side)
    false_alarms = sum(
        equivalence_test(rng.normal(side * 0.5, 0.5, 20), 0.5) <= 0.05 for _ in range(1000)
    )
    low, high = binomial_bounds(1000, 0.05)
    assert low <= false_alarms <= high
    found = sum(equivalence_test(rng.normal(0, 0.5, 40), 0.5) <= 0.05 for _ in range(100))
    assert found > 95


@pytest.mark.slow
@pytest.mark.parametrize("groups", [10, 30])
def test_equivalence_of_scenes_errs_hardly_more_often_than_it_says(groups: int) -> None:
    rng = np.random.default_rng(groups)
    false_alarms = 0
    for _ in range(3000):
        differences, group = grouped_differences(rng, groups, 1.0)
        false_alarms += equivalence_test(differences + 3, 3, group) <= 0.05
    # Groups of 1 to 7 images have a slightly skewed mean: one and a half points beyond chance.
    assert binomial_bounds(3000, 0.05)[0] <= false_alarms <= binomial_bounds(3000, 0.065)[1]


def test_small_p_values_are_no_equations() -> None:
    assert (p_clause(0.01234), p_text(0.01234)) == ("p = 0.0123", "0.0123")
    assert (p_clause(1e-9), p_text(1e-9)) == ("p < 0.0001", "< 0.0001")


def test_mcnemar_by_hand() -> None:
    # Of 6 trials that only one of both passed, one went the other way: 2 (1 + 6) / 2^6.
    first = np.array([1, 1, 1, 1, 1, 0, 1, 0], bool)
    second = np.array([0, 0, 0, 0, 0, 1, 1, 0], bool)
    assert mcnemar_test(first, second) == pytest.approx(14 / 64)
    assert mcnemar_test(second, first) == mcnemar_test(first, second)
    assert mcnemar_test(first, first) == 1
    assert mcnemar_test([], []) == 1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]).tolist() == [1, 1]


@given(PROBABILITIES, st.randoms())
def test_holm_keeps_order_and_lies_between_plain_and_bonferroni(
    p_values: list[float], random: np.random.Generator
) -> None:
    p = np.array(p_values)
    adjusted = holm(p)
    assert np.all(adjusted >= p) and np.all(adjusted <= np.minimum(1, p * len(p)))
    assert np.all(np.diff(adjusted[np.argsort(p)]) >= 0)
    shuffled = list(range(len(p)))
    random.shuffle(shuffled)
    np.testing.assert_array_equal(holm(p[shuffled]), adjusted[shuffled])


def test_rank_correlation_by_hand() -> None:
    # Only the order counts; of 24 orders, 2 are as extreme.
    assert rank_correlation([1, 2, 3, 9], [1, 4, 5, 70]) == pytest.approx((1, 2 / 24))
    assert rank_correlation([1, 2, 3, 4], [4, 3, 2, 1])[0] == pytest.approx(-1)
    assert rank_correlation([1, 1, 1], [1, 2, 3]) == (0, 1)
    x, y = np.random.default_rng(0).normal(size=(2, 12)) + np.arange(12) / 9
    rho, p = rank_correlation(x, y)
    expected = stats.spearmanr(x, y)
    assert rho == pytest.approx(expected.statistic)
    assert p == pytest.approx(expected.pvalue, abs=0.02)
