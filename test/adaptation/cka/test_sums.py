"""Sums over batches: divided once, intervals that cover, p values that are uniform under chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from repsam_ros.adaptation.cka.sums import PairedSums, UnpairedSums, cka_of
from repsam_ros.errors import ConfigError

RESAMPLES = 199


def features(seed: int, scenes: int, rows: int = 1, width: int = 6) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn((1, scenes, rows, width), generator=draw, dtype=torch.float64) - 3


def related(seed: int, scenes: int, rows: int = 1) -> tuple[Tensor, Tensor]:
    """Three of six columns shared: CKA 1/2."""
    x, y = features(seed, scenes, rows), features(seed + 100_000, scenes, rows)
    return x, torch.cat([x[..., :3], y[..., 3:]], -1)


def test_numerators_and_denominators_are_summed_before_dividing() -> None:
    batches = [related(k, 20) for k in range(4)]
    sums = PairedSums(0, RESAMPLES)
    for x, y in batches:
        sums.add(x, {"y": y})
    product, own, other = torch.stack([cka_of(x, y) for x, y in batches]).sum(0)[:, 0].tolist()
    assert sums.estimates()["y"].value[0] == pytest.approx(product / (own * other) ** 0.5)


def test_memory_does_not_grow_with_the_number_of_batches() -> None:
    def numbers(batches: int) -> int:
        sums, unpaired = PairedSums(0, RESAMPLES), UnpairedSums(0, RESAMPLES)
        for k in range(batches):
            x, y = related(k, 16, 2)
            sums.add(x, {"y": y})
            unpaired.add(x, y)
        kept = [*sums._own.values(), *sums._shared.values(), *sums._shifted.values()]
        return sum(value.numel() for value in [*kept, *unpaired._sums.values()])

    assert numbers(1) == numbers(3)


@pytest.mark.parametrize("rows", [1, 3])
def test_intervals_cover_the_truth_and_p_finds_the_relation(rows: int) -> None:
    covered, values = [], []
    for repeat in range(80):
        sums = PairedSums(repeat, RESAMPLES)
        for k in range(2):
            x, y = related(1000 * repeat + k, 40, rows)
            sums.add(x, {"y": y})
        found = sums.estimates()["y"]
        (low, high), value = found.interval[0], found.value[0]
        covered.append(low <= 0.5 <= high)
        values.append(value)
        assert found.p[0] < 0.03  # a shift by nothing is drawn now and then
    assert np.mean(values) == pytest.approx(0.5, abs=0.02)
    assert 0.88 <= np.mean(covered) <= 0.99


def test_chance_is_found_significant_as_often_as_it_should_be() -> None:
    paired, unpaired = [], []
    for repeat in range(150):
        x, y = features(repeat, 24, 2), features(repeat + 500, 24, 2)
        sums, other = PairedSums(repeat, RESAMPLES), UnpairedSums(repeat, RESAMPLES)
        sums.add(x, {"y": y})
        other.add(x, y)
        paired.append(sums.estimates()["y"].p[0])
        unpaired.append(other.estimates().p[0])
    for p in (np.array(paired), np.array(unpaired)):
        # Shares of 150: two standard errors of 0.1 and of 0.5.
        assert abs(np.mean(p <= 0.1) - 0.1) < 0.05
        assert abs(np.mean(p <= 0.5) - 0.5) < 0.09


def test_one_distribution_is_aligned_and_another_is_not() -> None:
    scale = torch.tensor([3.0, 2, 1, 1, 0.5, 0.5], dtype=torch.float64)
    same, turned = UnpairedSums(0, RESAMPLES), UnpairedSums(0, RESAMPLES)
    for k in range(8):
        x, y = features(k, 40) * scale, features(k + 50, 40)
        same.add(x, y * scale + 9)
        turned.add(x, y * scale.flip(0))
    squares = (scale**2).numpy()
    truth = (squares * squares[::-1]).sum() / (squares**2).sum()
    assert same.estimates().value[0] == pytest.approx(1, abs=0.03)
    assert same.estimates().p[0] > 0.05
    assert turned.estimates().value[0] == pytest.approx(truth, abs=0.05)
    assert turned.estimates().p[0] == 1 / (1 + RESAMPLES)
    low, high = turned.estimates().interval[0]
    assert low < truth < high


def test_the_permuted_control_is_near_zero() -> None:
    sums = PairedSums(3, RESAMPLES)
    for k in range(10):
        x, y = related(k, 40)
        sums.add(x, {"y": y})
    assert abs(sums.permuted("y")[0]) < 0.05


def test_the_same_seed_gives_the_same_numbers() -> None:
    def run(seed: int) -> tuple[float, ...]:
        sums = PairedSums(seed, RESAMPLES)
        x, y = related(1, 20)
        sums.add(x, {"y": y})
        found = sums.estimates()["y"]
        return (*found.value, *found.interval[0], *found.p)

    assert run(1) == run(1) != run(2)


def test_features_that_do_not_vary_are_an_error() -> None:
    sums = PairedSums(0, RESAMPLES)
    sums.add(torch.ones(2, 20, 1, 3, dtype=torch.float64), {"y": torch.zeros(2, 20, 1, 3)})
    with pytest.raises(ConfigError, match=r"blocks \[0, 1\] hardly vary"):
        sums.estimates()
