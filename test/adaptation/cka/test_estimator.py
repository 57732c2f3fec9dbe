"""Debiased CKA against sums over every tuple, other people's code and analytic values."""

from __future__ import annotations

import importlib.util
import itertools
import sys
import types

import numpy as np
import pytest
import torch
from torch import Tensor

from repsam_ros.adaptation.cka.estimator import (
    covariance_product,
    gram_of,
    hsic,
    ratio,
    shift_coefficients,
    shifted_hsic,
    spectrum,
    weighted,
)
from repsam_ros.adaptation.cka.sums import cka_of


def features(seed: int, scenes: int, rows: int = 1, width: int = 3, layers: int = 1) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    values = torch.randn((layers, scenes, rows, width), generator=draw, dtype=torch.float64)
    return values + 5  # no result depends on the mean


def cka(x: Tensor, y: Tensor) -> float:
    return float(ratio(*cka_of(x, y))[0])


def weighted_hsic(x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    return hsic(weighted(gram_of(x), weights), weighted(gram_of(y), weights))


def tuples_hsic(x: Tensor, y: Tensor, weights: Tensor) -> float:
    """The definition: every tuple of four different scenes, and every row of each."""
    (scenes, rows, _), total, norm = x.shape, 0.0, 0.0
    for a, b, c, d in itertools.permutations(range(scenes), 4):
        term = 0.0
        for i, j, p, q in itertools.product(range(rows), repeat=4):
            k12 = x[a, i] @ x[b, j]
            l12, l34, l13 = y[a, i] @ y[b, j], y[c, p] @ y[d, q], y[a, i] @ y[c, p]
            term += float(k12 * (l12 + l34 - 2 * l13))
        weight = float(weights[a] * weights[b] * weights[c] * weights[d])
        total += weight * term / rows**4
        norm += weight
    return total / norm


@pytest.mark.parametrize(("scenes", "rows"), [(6, 1), (5, 2)])
def test_equals_the_sum_over_all_tuples_of_scenes(scenes: int, rows: int) -> None:
    x, y = features(0, scenes, rows), features(1, scenes, rows, width=2)
    y[..., 0] += x[..., 1]
    even = torch.ones(scenes, dtype=torch.float64)
    drawn = torch.tensor([2.0, 1, 0, 1, 1, 3], dtype=torch.float64)[:scenes]
    found = weighted_hsic(x, y, torch.stack([even, drawn]))[0]
    for value, weights in zip(found, (even, drawn), strict=True):
        assert float(value) == pytest.approx(tuples_hsic(x[0], y[0], weights), rel=1e-9)


def test_weights_are_what_resampling_scenes_gives() -> None:
    """Copies of a scene never meet: neither in the weighted sums nor in the repeated scenes."""
    x, y = features(2, 7), features(3, 7)
    drawn = [0, 1, 1, 3, 4, 6, 6]
    weights = torch.bincount(torch.tensor(drawn), minlength=7).double()
    total, count = 0.0, 0
    for a, b, c, d in itertools.permutations(range(7), 4):
        sa, sb, sc, sd = (drawn[position] for position in (a, b, c, d))
        if len({sa, sb, sc, sd}) < 4:
            continue
        k12, l12 = x[0, sa, 0] @ x[0, sb, 0], y[0, sa, 0] @ y[0, sb, 0]
        l34, l13 = y[0, sc, 0] @ y[0, sd, 0], y[0, sa, 0] @ y[0, sc, 0]
        total, count = total + float(k12 * (l12 + l34 - 2 * l13)), count + 1
    found = weighted_hsic(x, y, weights[None])
    assert float(found) == pytest.approx(total / count, rel=1e-9)


def test_resamples_are_unbiased_and_spread_as_the_estimate_does() -> None:
    rng = np.random.default_rng(0)
    scenes, repeats = 40, 300
    estimates, spreads, means = [], [], []
    for repeat in range(repeats):
        x = features(10 + repeat, scenes)
        y = x + features(10_000 + repeat, scenes)
        drawn = torch.from_numpy(rng.multinomial(scenes, [1 / scenes] * scenes, 200)).double()
        even = torch.ones_like(drawn[:1])
        values = weighted_hsic(x, y, torch.cat([even, drawn]))[0].numpy()
        estimates.append(values[0])
        spreads.append(values[1:].std())
        means.append(values[1:].mean() - values[0])
    spread = np.std(estimates)
    assert abs(np.mean(means)) < 0.1 * spread
    assert 0.9 < np.sqrt(np.mean(np.square(spreads))) / spread < 1.2


@pytest.mark.parametrize("rows", [1, 3])
def test_shifts_equal_shifted_scenes(rows: int) -> None:
    x, y = features(4, 9, rows, layers=2), features(5, 9, rows, layers=2)
    coefficients = spectrum(shift_coefficients(gram_of(x)))
    found = shifted_hsic(coefficients, spectrum(gram_of(y).rows), 9)
    even = torch.ones((1, 9), dtype=torch.float64)
    for shift in range(9):
        wanted = weighted_hsic(x, y.roll(-shift, 1), even)[:, 0]
        torch.testing.assert_close(found[:, shift], wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 2])
def test_covariance_product_equals_the_definition(rows: int) -> None:
    pooled = features(6, 8, rows)
    w = torch.tensor([1.0, 2, 0, 1, 1, 0, 0, 0], dtype=torch.float64)
    v = torch.tensor([0.0, 0, 2, 0, 0, 1, 1, 1], dtype=torch.float64)

    def covariance(weights: Tensor) -> Tensor:
        scenes, total, norm = pooled[0], torch.zeros(3, 3, dtype=torch.float64), 0.0
        for a, b in itertools.permutations(range(8), 2):
            weight = float(weights[a] * weights[b])
            own = scenes[a].mT @ scenes[a] / rows
            total += weight * (own - torch.outer(scenes[a].mean(0), scenes[b].mean(0)))
            norm += weight
        return total / norm

    gram = gram_of(pooled)
    found = covariance_product(weighted(gram, w[None]), weighted(gram, v[None]))
    wanted = torch.trace(covariance(w) @ covariance(v).mT)
    assert float(found) == pytest.approx(float(wanted), rel=1e-9)


def test_itself_turned_scaled_and_moved_is_one() -> None:
    x = features(7, 30, width=6)
    rotation = torch.linalg.qr(features(8, 6, width=6)[0, :, 0]).Q
    assert cka(x, x) == pytest.approx(1, abs=1e-12)
    assert cka(x, -3 * (x @ rotation) + 7) == pytest.approx(1, abs=1e-12)


def test_independent_features_are_near_zero_on_both_sides() -> None:
    values = [cka(features(k, 40, width=8), features(k + 999, 40, width=8)) for k in range(200)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0 < max(values)


def test_a_planted_overlap_has_its_analytic_value() -> None:
    """s of d equal standard normal columns: tr(Cxy Cyx) / sqrt(tr(Cxx^2) tr(Cyy^2)) = s / d."""
    found = []
    for k in range(60):
        x, y = features(k, 100, width=8), features(k + 500, 100, width=8)
        found.append(cka(x, torch.cat([x[..., :3], y[..., 3:]], -1)))
    assert np.mean(found) == pytest.approx(3 / 8, abs=0.01)


def test_rows_of_one_scene_never_meet() -> None:
    """What all rows of a scene share must not make unrelated features look alike."""
    found = []
    for k in range(100):
        x, y = features(k, 30, 4, width=5), features(k + 500, 30, 4, width=5)
        found.append(cka(x + 3 * features(k + 1000, 30, width=5), y))
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))
    assert cka(x, x) == pytest.approx(1, abs=1e-12)


def biased_cka(x: Tensor, y: Tensor) -> float:
    x, y = x - x.mean(0), y - y.mean(0)
    return float((x.mT @ y).square().sum() / ((x.mT @ x).norm() * (y.mT @ y).norm()))


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_the_bias_trap_catches_the_plain_estimate_only(decay: float) -> None:
    """Two unpaired samples of one distribution: the plain value is the spectrum's shape."""
    scenes, width = 60, 64
    scale = torch.arange(1, width + 1).double() ** (-decay / 2)
    participation = float((scale**2).sum() ** 2 / (scale**4).sum())
    plain, ours = [], []
    for k in range(60):
        x, y = (features(seed, scenes, width=width) * scale for seed in (k, k + 500))
        plain.append(biased_cka(x[0, :, 0], y[0, :, 0]))
        ours.append(cka(x, y))
    trap = participation / (participation + scenes - 1)
    assert np.mean(plain) == pytest.approx(trap, abs=0.04)
    assert abs(np.mean(ours)) < 0.01


def test_agrees_with_ckatorch() -> None:
    """Its core alone: the package draws plots and asks for matplotlib and seaborn."""
    spec = importlib.util.find_spec("ckatorch")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs ckatorch, which make setup-all installs")
    package = types.ModuleType("ckatorch")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["ckatorch"] = package
    try:
        cka_base = importlib.import_module("ckatorch.core").cka_base
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "ckatorch"]:
            del sys.modules[name]
    for seed in range(5):
        x, y = features(seed, 50, width=12), features(seed + 50, 50, width=7)
        y = y + x[..., :7]
        theirs = cka_base(x[0, :, 0], y[0, :, 0], unbiased=True)
        assert cka(x, y) == pytest.approx(float(theirs), abs=1e-6)
