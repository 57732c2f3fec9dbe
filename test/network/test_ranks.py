"""Rank allocation: the budget is kept and used up, whatever the values."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from repsam_ros.errors import ConfigError
from repsam_ros.network.ranks import (
    POLICIES,
    RankAllocation,
    RankSettings,
    allocate_ranks,
    read_allocation,
    save_allocation,
)

REARRANGED = ("cka", "random", "reversed", "early", "late")
LAYERS = np.linspace(0.3, 0.9, 8)


@st.composite
def problems(draw: st.DrawFn, equal: bool = False) -> tuple[np.ndarray, list[int], RankSettings]:
    """CKA values, costs and settings whose budget reaches r_min everywhere."""
    count = draw(st.integers(1, 24))
    cka = np.array(draw(st.lists(st.floats(-0.2, 1.0), min_size=count, max_size=count)))
    one = st.integers(1, 30000)
    costs = [draw(one)] * count if equal else draw(st.lists(one, min_size=count, max_size=count))
    r_min = draw(st.integers(0, 4))
    r_max = draw(st.integers(max(1, r_min), 80))
    least, most = r_min * sum(costs), r_max * sum(costs)
    policies = [policy for policy in POLICIES if policy != "printed_formula"]
    settings = RankSettings(
        budget=draw(st.integers(least, most + max(costs))),
        policy=draw(st.sampled_from(policies)),
        gamma=draw(st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 10.0])),
        r_min=r_min,
        r_max=r_max,
        seed=draw(st.integers(0, 9)),
    )
    return cka, costs, settings


def allocate(cka: np.ndarray, costs: list[int], settings: RankSettings) -> RankAllocation:
    return allocate_ranks(cka, costs, settings, gradient_norms=np.abs(cka) + 0.1)


@given(problems())
def test_never_above_the_budget_and_nothing_affordable_left(problem) -> None:
    cka, costs, settings = problem
    result = allocate(cka, costs, settings)
    assert result.used == sum(r * c for r, c in zip(result.ranks, costs, strict=True))
    assert result.used <= settings.budget
    assert all(settings.r_min <= r <= settings.r_max for r in result.ranks)
    open_costs = [c for r, c in zip(result.ranks, costs, strict=True) if r < settings.r_max]
    assert not open_costs or settings.budget - result.used < min(open_costs)


@given(problems())
def test_the_same_input_gives_the_same_ranks(problem) -> None:
    assert allocate(*problem) == allocate(*problem)


@given(problems(equal=True))
def test_ranks_of_blocks_that_no_cap_binds_share_one_level(problem) -> None:
    cka, costs, settings = problem
    result = allocate(cka, costs, settings)
    pairs = list(zip(result.ranks, result.weights, strict=True))
    free = [(r, w) for r, w in pairs if settings.r_min < r < settings.r_max]
    assume(len(free) > 1)
    assert max((r - 1) / w for r, w in free) <= min((r + 1) / w for r, w in free) * (1 + 1e-6)


@given(problems(equal=True))
def test_at_equal_costs_more_weight_is_never_less_rank(problem) -> None:
    cka, costs, settings = problem
    result = allocate(cka, costs, settings)
    for (w, r), (other_w, other_r) in product(
        zip(result.weights, result.ranks, strict=True), repeat=2
    ):
        if w > other_w * (1 + 1e-6):
            assert r >= other_r
        if w == other_w:
            assert abs(r - other_r) <= 1


@given(problems(equal=True))
def test_rearranged_values_spend_exactly_as_much(problem) -> None:
    cka, costs, settings = problem
    results = [
        allocate(cka, costs, RankSettings(**{**settings.__dict__, "policy": policy}))
        for policy in REARRANGED
    ]
    assert len({result.used for result in results}) == 1


def test_without_rounding_the_shares_are_exact() -> None:
    cka = np.array([0.2, 0.4, 0.6, 0.8])
    result = allocate_ranks(cka, [10] * 4, RankSettings(200, r_min=0))
    assert result.ranks == (8, 6, 4, 2)
    squared = allocate_ranks(cka, [10] * 4, RankSettings(300, gamma=2.0, r_min=0))
    assert squared.ranks == (16, 9, 4, 1)
    costly = allocate_ranks(cka, [10, 20, 40, 20], RankSettings(200, r_min=0))
    assert costly.ranks == (8, 3, 1, 1)


def test_what_a_cap_takes_from_one_block_goes_to_the_others() -> None:
    cka = np.array([0.0, 0.8, 0.9])
    result = allocate_ranks(cka, [1] * 3, RankSettings(20, r_min=0, r_max=8))
    assert result.ranks == (8, 8, 4)
    assert allocate_ranks(cka, [1] * 3, RankSettings(99, r_max=8)).ranks == (8, 8, 8)


def test_policies_place_the_same_values_differently() -> None:
    cka = np.array([0.5, 0.2, 0.8, 0.6])
    ranks = {
        policy: allocate_ranks(cka, [1] * 4, RankSettings(19, policy, r_min=0)).ranks
        for policy in REARRANGED
    }
    assert ranks["cka"] == (5, 8, 2, 4)
    assert ranks["reversed"] == (4, 2, 8, 5)
    assert ranks["early"] == (8, 5, 4, 2)
    assert ranks["late"] == (2, 4, 5, 8)
    assert sorted(ranks["random"]) == [2, 4, 5, 8]
    seeds = [RankSettings(60, "random", seed=seed) for seed in range(6)]
    assert len({allocate_ranks(LAYERS, [1] * 8, seed).ranks for seed in seeds}) > 1


def test_ties_go_to_the_first_blocks() -> None:
    uniform = RankSettings(10, "uniform", r_min=0)
    assert allocate_ranks(None, [1] * 4, uniform).ranks == (3, 3, 2, 2)


def test_gradient_norms_take_the_place_of_the_shift() -> None:
    norms = np.array([4.0, 2.0, 1.0, 1.0])
    settings = RankSettings(16, "gradient")
    assert allocate_ranks(None, [1] * 4, settings, gradient_norms=norms).ranks == (8, 4, 2, 2)


def test_the_printed_formula_is_literal_and_knows_no_budget() -> None:
    settings = RankSettings(10, "printed_formula", r_max=16)
    result = allocate_ranks(LAYERS, [100] * 8, settings)
    shares = (1 - LAYERS) / (1 - LAYERS).sum()
    assert result.ranks == tuple(round(16 * share) for share in shares)
    assert result.used == 100 * sum(result.ranks) > result.budget


def test_what_is_reserved_counts() -> None:
    result = allocate_ranks(LAYERS, [10] * 8, RankSettings(1000), reserved=500)
    assert result.used == 500 + 10 * sum(result.ranks) == 1000


@pytest.mark.parametrize(
    ("settings", "cka", "message"),
    [
        (RankSettings(15, r_min=2), LAYERS, "too small"),
        (RankSettings(-1, "uniform", r_min=0), LAYERS, "too small"),
        (RankSettings(50), None, "needs CKA"),
        (RankSettings(50), LAYERS[:3], "expected 8 CKA values"),
        (RankSettings(50), LAYERS * np.nan, "finite"),
        (RankSettings(50), LAYERS + 1, "at most 1"),
        (RankSettings(50, "gradient"), LAYERS, "needs gradient norms"),
        (RankSettings(50, "printed_formula"), np.ones(8), "undefined"),
    ],
)
def test_impossible_input_is_an_error(settings: RankSettings, cka, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        allocate_ranks(cka, [1] * 8, settings)


@pytest.mark.parametrize("change", [{"policy": "best"}, {"r_min": 9, "r_max": 8}, {"gamma": 1e3}])
def test_impossible_settings_are_an_error(change: dict) -> None:
    with pytest.raises(ConfigError):
        RankSettings(100, **change)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "ranks.json"
    result = allocate_ranks(LAYERS, [10] * 8, RankSettings(500))
    save_allocation(path, result, config={"any": 1})
    assert read_allocation(path) == result
    path.write_text("[]")
    with pytest.raises(ConfigError, match="ranks.json"):
        read_allocation(path)


def test_one_minus_cka_is_the_relative_energy_of_a_small_shift() -> None:
    """Step 1 of the derivation, for white features."""
    draw = np.random.default_rng(3)
    x = np.linalg.qr(draw.normal(size=(1000, 12)))[0]
    for size in (0.02, 0.1):
        shift = draw.normal(size=x.shape)
        shift -= x @ (x.T @ shift)
        shift *= size / np.linalg.norm(shift) * np.linalg.norm(x)
        y = x + shift
        parts = np.linalg.norm(x.T @ y), np.linalg.norm(x.T @ x), np.linalg.norm(y.T @ y)
        assert 1 - parts[0] ** 2 / (parts[1] * parts[2]) == pytest.approx(size**2, rel=0.03)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_buying_the_greatest_gain_first_ends_at_the_allocation(alpha: float) -> None:
    """Steps 2 and 3: gamma = 1 / alpha where all blocks cost the same."""
    need, bought = 1 - LAYERS, np.zeros(8, int)
    for _ in range(800):
        bought[np.argmax(need * (bought + 1.0) ** -alpha)] += 1
    settings = RankSettings(800, gamma=1 / alpha, r_max=800)
    found = allocate_ranks(LAYERS, [1] * 8, settings).ranks
    assert np.abs(bought - found).max() <= 3
    if alpha != 1:
        plain = allocate_ranks(LAYERS, [1] * 8, RankSettings(800, r_max=800)).ranks
        assert np.abs(bought - plain).max() > 20
