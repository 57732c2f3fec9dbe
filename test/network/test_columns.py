"""Layers that work on pairs of columns compute what plain layers compute."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from repsam_ros.network.columns import (
    DoubledIntoPairs,
    IntoPairs,
    OfPairs,
    columns_in_place,
    doubled,
    halved,
    pair_columns,
    sum_of_pairs,
    weighted_sum,
)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def plain(layer: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """What a convolution of these weights computes."""
    return F.conv2d(x, layer.weight, layer.bias, padding=layer.padding)


def test_a_convolution_into_pairs_is_the_plain_one() -> None:
    layer, x = IntoPairs(11, 8, 3, 1, 1), torch.randn(2, 11, 6, 10)
    assert torch.allclose(layer(x), pair_columns(plain(layer, x)), atol=1e-5)


def test_a_convolution_of_pairs_is_the_plain_one() -> None:
    layer, x = OfPairs(8, 5, 3, 1, 1), torch.randn(2, 8, 6, 10)
    assert torch.allclose(layer(pair_columns(x)), pair_columns(plain(layer, x)), atol=1e-5)


def test_doubling_into_pairs_is_a_convolution_scaled_bilinearly() -> None:
    layer, x = DoubledIntoPairs(16, 8, 1), torch.randn(2, 16, 6, 5)
    large = F.interpolate(plain(layer, x), scale_factor=2.0, mode="bilinear")
    assert torch.allclose(layer(x), pair_columns(large), atol=1e-5)


def test_sums_of_pairs_are_sums_over_channels() -> None:
    weights, x = torch.randn(3, 8), torch.randn(3, 8, 6, 10)
    expected = torch.einsum("nc,nchw->nhw", weights, x)
    assert torch.allclose(weighted_sum(weights, x), expected, atol=1e-5)
    found = columns_in_place(sum_of_pairs(weights, pair_columns(x)))
    assert torch.allclose(found, expected, atol=1e-5)


def test_halving_and_doubling_are_means_and_bilinear_scaling() -> None:
    x = torch.randn(2, 11, 6, 10)
    assert torch.allclose(halved(x), F.avg_pool2d(x, 2), atol=1e-6)
    large = F.interpolate(x[:, :1], scale_factor=2.0, mode="bilinear")[:, 0]
    assert torch.allclose(doubled(x[:, 0]), large, atol=1e-6)


def test_what_is_trained_is_the_plain_weight() -> None:
    """Gradients reach it as those of the plain convolution do."""
    layer, x = OfPairs(8, 8, 3, 1, 1), torch.randn(2, 8, 6, 10)
    share = torch.randn(2, 8, 6, 10)
    (pair_columns(share) * layer(pair_columns(x))).sum().backward()
    found = layer.weight.grad
    layer.weight.grad = None
    (share * plain(layer, x)).sum().backward()
    assert found is not None and layer.weight.grad is not None
    assert torch.allclose(found, layer.weight.grad, atol=1e-4)
