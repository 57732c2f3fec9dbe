"""Debiased linear CKA and feature-covariance alignment from the scenes of one batch.

Kornblith et al., "Similarity of neural network representations revisited", ICML 2019, divide the
HSIC of two sets of features by the geometric mean of their own. With k = <x, x'> and l = <y, y'>

    HSIC = E[k(1, 2) l(1, 2)] + E[k(1, 2)] E[l(3, 4)] - 2 E[k(1, 2) l(1, 3)],

where 1, 2, 3 and 4 are independent draws (Song et al., "Supervised feature selection via
dependence estimation", ICML 2007). The plain estimate of it lets a row meet itself; two unpaired
samples of n rows of one distribution then look alike by about PR / (PR + n - 1), PR being the
participation ratio of the distribution's spectrum. Here the mean runs over different rows only (a
U-statistic), which is unbiased for every n, so that sums over batches are unbiased too (Nguyen,
Raghu and Kornblith, "Do wide and deep networks learn the same things?", ICLR 2021).

The independent draws are *scenes*: several rows of one scene (tokens of a picture, pictures of a
table) never meet in one term. Each scene has the same number of rows and counts as their mean.

Weights on scenes make the bootstrap possible without keeping features. The mean over all ordered
tuples of four different scenes, each tuple counted w1 w2 w3 w4 times, is what resampling scene a
w_a times gives when copies of a scene never meet, as its own rows never do. As all tuples are
expected equally often, such a resample is unbiased for the estimate itself, and its spread is that
of the estimate (Janssen, "Weighted bootstrapping of U-statistics", J. Statist. Plann. Inference
38, 1994). The sums over tuples are polynomials in w over Gram matrices, written out below; one
matrix product serves all resamples.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Gram(NamedTuple):
    """Inner products of the rows of S scenes with k rows each, at L layers.

    Attributes:
        rows: (L, S, k, S, k); 0 within a scene.
        to_scene: (L, S, k, S) mean over the second scene's rows.
        scenes: (L, S, S) mean over both scenes' rows.
    """

    rows: Tensor
    to_scene: Tensor
    scenes: Tensor


class WeightedGram(NamedTuple):
    """A Gram matrix under R sets of scene weights.

    Attributes:
        weights: (S, R).
        once: (L, S, k, R) ``to_scene`` times the weights.
        twice: (L, S, k, R) ``to_scene`` times their squares.
    """

    gram: Gram
    weights: Tensor
    once: Tensor
    twice: Tensor


def gram_of(features: Tensor) -> Gram:
    """The Gram matrix of (L, S, k, D) features, float64.

    Features are centred first; no result depends on that but for rounding.
    """
    layers, scenes, count, _ = features.shape
    centred = features.double()
    centred = (centred - centred.mean((1, 2), keepdim=True)).flatten(1, 2)
    rows = (centred @ centred.mT).reshape(layers, scenes, count, scenes, count)
    rows *= _between(scenes, rows)
    to_scene = rows.mean(-1)
    return Gram(rows, to_scene, to_scene.mean(2))


def weighted(gram: Gram, weights: Tensor) -> WeightedGram:
    """``gram`` under (R, S) weights."""
    w = weights.mT
    return WeightedGram(gram, w, gram.to_scene @ w, gram.to_scene @ w**2)


def hsic(x: WeightedGram, y: WeightedGram) -> Tensor:
    """(L, R) unbiased HSIC; both under the same weights, of which four or more are not zero."""
    w = x.weights
    w2, w3 = w**2, w**3
    total, squares = w.sum(0), w2.sum(0)
    # Pairs of scenes a, b: the other two members of a tuple weigh
    # (total - a - b)^2 - (squares - a^2 - b^2).
    pairs = (x.gram.rows * y.gram.rows).mean((2, 4))
    first = (total**2 - squares) * _form(w, pairs, w)
    first += -4 * total * _form(w2, pairs, w) + 4 * _form(w3, pairs, w) + 2 * _form(w2, pairs, w2)
    # Triples a, b, c with a in both Gram matrices: the fourth weighs total - a - b - c.
    shared = (x.gram.to_scene * y.gram.to_scene).mean(2)
    product = (x.once * y.once).mean(2) - shared @ w2
    crossed = (x.twice * y.once + x.once * y.twice).mean(2) - 2 * (shared @ w3)
    third = (w * ((total - w) * product - crossed)).sum(1)
    # Two separate pairs.
    x_to, y_to = x.once.mean(2), y.once.mean(2)
    second = (w * x_to).sum(1) * (w * y_to).sum(1) - 4 * (w2 * x_to * y_to).sum(1)
    second += 2 * _form(w2, x.gram.scenes * y.gram.scenes, w2)
    tuples = total**4 - 6 * total**2 * squares + 3 * squares**2
    tuples += 8 * total * w3.sum(0) - 6 * (w**4).sum(0)
    return (first + second - 2 * third) / tuples


def covariance_product(x: WeightedGram, y: WeightedGram) -> Tensor:
    """(L, R) unbiased trace of the product of two independent samples' covariance matrices.

    ``x`` and ``y`` weigh one Gram matrix of both samples; no scene has weight in both. Each
    covariance is the mean over pairs of different scenes, so :func:`hsic` of a sample with itself
    is the matching estimate for the product of a covariance with itself.
    """
    w, v = x.weights, y.weights
    w2, v2 = w**2, v**2
    of_x, of_y = w * (w.sum(0) - w), v * (v.sum(0) - v)
    gram = x.gram
    squared = gram.to_scene.square().mean(2)
    result = _form(of_x, gram.rows.square().mean((2, 4)), of_y)
    result -= (of_y * (x.once.square().mean(2) - squared @ w2)).sum(1)
    result -= (of_x * (y.once.square().mean(2) - squared @ v2)).sum(1)
    x_to, y_to = x.once.mean(2), y.once.mean(2)
    result += (v * x_to).sum(1).square() - (v2 * x_to**2).sum(1) - (w2 * y_to**2).sum(1)
    result += _form(w2, gram.scenes.square(), v2)
    return result / ((w.sum(0) ** 2 - w2.sum(0)) * (v.sum(0) ** 2 - v2.sum(0)))


def shift_coefficients(x: Gram) -> Tensor:
    """(L, S, k, S, k) such that their inner product with ``y.rows`` is the HSIC of x and y."""
    scenes, count = x.rows.shape[1:3]
    pairs = scenes * (scenes - 1)
    triples = pairs * (scenes - 2)
    sums = x.scenes.sum(-1)
    apart = x.scenes.sum((1, 2))[:, None, None] - 2 * sums[:, :, None] - 2 * sums[:, None]
    apart = (apart + 2 * x.scenes) / (triples * (scenes - 3))
    rest = (x.to_scene.sum(-1, keepdim=True) - x.to_scene) / triples
    result = x.rows / pairs + apart[:, :, None, :, None]
    result -= rest[..., None] + rest.permute(0, 3, 1, 2)[:, :, None]
    return result * _between(scenes, result) / count**2


def spectrum(rows: Tensor) -> Tensor:
    """Fourier transform of (L, S, k, S, k) along the diagonals of scenes."""
    at = torch.arange(rows.shape[1], device=rows.device)
    along = rows.transpose(2, 3)[:, at[:, None], (at[:, None] + at) % len(at)]
    transformed: Tensor = torch.fft.rfft(along, dim=1)
    return transformed


def shifted_hsic(coefficients: Tensor, y: Tensor, scenes: int) -> Tensor:
    """(L, S) HSIC of x with y's scenes shifted cyclically by 0 ... S - 1.

    Args:
        coefficients: :func:`spectrum` of x's :func:`shift_coefficients`.
        y: Spectrum of y's rows.
    """
    values: Tensor = torch.fft.irfft((coefficients.conj() * y).sum((2, 3, 4)), scenes)
    return values


def ratio(product: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """CKA from sums over batches: clipped at 1 from above only, NaN where it is not defined."""
    own = torch.where((x > 0) & (y > 0), x * y, torch.nan).sqrt()
    return (product / own).clamp(max=1.0)


def _between(scenes: int, like: Tensor) -> Tensor:
    """(S, 1, S, 1) ones between different scenes."""
    return (1 - torch.eye(scenes, dtype=like.dtype, device=like.device))[:, None, :, None]


def _form(a: Tensor, matrix: Tensor, b: Tensor) -> Tensor:
    """(L, R) of (S, R) vectors around (L, S, S) matrices."""
    return (a * (matrix @ b)).sum(1)
