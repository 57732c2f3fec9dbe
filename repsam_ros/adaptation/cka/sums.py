"""What is kept of batches of scenes: sums for the estimate, each resample and each permutation.

Their size depends on the number of blocks and of resamples, never on the number of pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repsam_ros.adaptation.cka.estimator import (
    Gram,
    WeightedGram,
    covariance_product,
    gram_of,
    hsic,
    ratio,
    shift_coefficients,
    shifted_hsic,
    spectrum,
    weighted,
)
from repsam_ros.errors import ConfigError

# Fewer scenes in a batch leave too few different ones in a resample.
MIN_SCENES = 16
# Resamples that are computed together.
_AT_ONCE = 256


@dataclass(frozen=True)
class Estimates:
    """Alignment of L blocks.

    Attributes:
        value: (L,), at most 1; negative values are kept.
        interval: (L, 2) of 95 %, bootstrap over scenes.
        p: (L,).
    """

    value: NDArray[np.float64]
    interval: NDArray[np.float64]
    p: NDArray[np.float64]


class PairedSums:
    """Debiased CKA of one set of features with several others of the same scenes.

    p is that of a randomisation test: scenes of the other set are shifted cyclically within each
    batch. Shifts of a batch are a group, so the test is exact for independent scenes (Hemerik and
    Goeman, "Exact testing with random permutations", TEST 27, 2018); all shifts of a batch come
    from one Fourier transform.
    """

    def __init__(self, seed: int, resamples: int) -> None:
        self._seed, self._resamples, self._batches = seed, resamples, 0
        self._own: dict[str, Tensor] = {}
        self._shared: dict[str, Tensor] = {}
        self._shifted: dict[str, Tensor] = {}

    def add(self, x: Tensor, others: Mapping[str, Tensor]) -> None:
        """Adds a batch of (L, S, k, D) features."""
        rng = np.random.default_rng([self._seed, self._batches])
        self._batches += 1
        scenes = x.shape[1]
        weights = _with_estimate(_resampled(rng, scenes, self._resamples), x)
        grams = {name: gram_of(features) for name, features in {"": x, **others}.items()}
        own: dict[str, list[Tensor]] = {name: [] for name in grams}
        shared: dict[str, list[Tensor]] = {name: [] for name in others}
        for part in weights.split(_AT_ONCE):
            reference = weighted(grams[""], part)
            own[""].append(hsic(reference, reference))
            for name in others:
                other = weighted(grams[name], part)
                own[name].append(hsic(other, other))
                shared[name].append(hsic(reference, other))
        _accumulate(self._own, {name: torch.cat(parts, 1) for name, parts in own.items()})
        _accumulate(self._shared, {name: torch.cat(parts, 1) for name, parts in shared.items()})
        shifts = np.concatenate([[0], rng.integers(scenes, size=self._resamples)])
        coefficients = spectrum(shift_coefficients(grams[""]))
        shifted = {
            name: shifted_hsic(coefficients, spectrum(grams[name].rows), scenes)[:, shifts]
            for name in others
        }
        _accumulate(self._shifted, shifted)

    def estimates(self) -> dict[str, Estimates]:
        """By name of the other features.

        Raises:
            ConfigError: Features that do not vary enough over the scenes.
        """
        result = {}
        for name, shared in self._shared.items():
            values = ratio(shared, self._own[""], self._own[name])
            null = self._shifted[name]
            reached = (null[:, 1:] >= null[:, :1]).sum(1)
            result[name] = _estimates(values, reached)
        return result

    def permuted(self, name: str) -> NDArray[np.float64]:
        """(L,) CKA with the rows of one random permutation."""
        own, other = self._own[""][:, :1], self._own[name][:, :1]
        return _array(ratio(self._shifted[name][:, 1:2], own, other)[:, 0])


class UnpairedSums:
    """Feature-covariance alignment of two sets of different scenes in one encoder's basis.

    tr(A B) / sqrt(tr(A A) tr(B B)) of the covariance matrices A and B, each product unbiased: 1 for
    one distribution, whatever the number of scenes. p is that of a randomisation test of *one*
    covariance: the scenes of both sets, each centred by itself so that means do not matter, change
    places pairwise at random.
    """

    def __init__(self, seed: int, resamples: int) -> None:
        self._seed, self._resamples, self._batches = seed, resamples, 0
        self._sums: dict[str, Tensor] = {}

    def add(self, x: Tensor, y: Tensor) -> None:
        """Adds a batch of (L, S, k, D) features, as many scenes of each."""
        rng = np.random.default_rng([self._seed, self._batches])
        self._batches += 1
        scenes, count = x.shape[1], self._resamples
        nothing = np.zeros((count, scenes))
        swapped = rng.integers(2, size=(count, scenes)).astype(np.float64)
        of_x = np.concatenate([_resampled(rng, scenes, count), nothing], 1)
        of_y = np.concatenate([nothing, _resampled(rng, scenes, count)], 1)
        one = np.repeat([[1.0, 0.0]], scenes, 1)
        swap = np.concatenate([1 - swapped, swapped], 1)
        first = torch.from_numpy(np.concatenate([one, of_x, swap])).to(x.device)
        second = torch.from_numpy(np.concatenate([1 - one, of_y, 1 - swap])).to(x.device)
        gram = gram_of(torch.cat([part - part.mean((1, 2), keepdim=True) for part in (x, y)], 1))
        parts = [
            torch.stack(_covariance_terms(weighted(gram, w), weighted(gram, v)))
            for w, v in zip(first.split(_AT_ONCE), second.split(_AT_ONCE), strict=True)
        ]
        _accumulate(self._sums, {"": torch.cat(parts, 2)})

    def estimates(self) -> Estimates:
        """See :meth:`PairedSums.estimates`."""
        values = ratio(*self._sums[""].unbind(0))
        null = values[:, 1 + self._resamples :]
        reached = (null <= values[:, :1]).sum(1)
        return _estimates(values[:, : 1 + self._resamples], reached)


def covariance_alignment_of_halves(x: Tensor) -> Tensor:
    """(3, L) sums for :func:`ratio`: the first half of the scenes against the second."""
    scenes = x.shape[1]
    first = (torch.arange(scenes, device=x.device) < scenes // 2).double()[None]
    gram = gram_of(x)
    return torch.stack(_covariance_terms(weighted(gram, first), weighted(gram, 1 - first)))[..., 0]


def cka_of(x: Tensor, y: Tensor) -> Tensor:
    """(3, L) sums for :func:`ratio`: CKA of two (L, S, k, D) sets of features."""
    grams = [_plain(gram_of(features)) for features in (x, y)]
    a, b = grams
    return torch.stack([hsic(a, b), hsic(a, a), hsic(b, b)])[..., 0]


def _plain(gram: Gram) -> WeightedGram:
    return weighted(gram, torch.ones_like(gram.scenes[0, :1]))


def _covariance_terms(x: WeightedGram, y: WeightedGram) -> tuple[Tensor, Tensor, Tensor]:
    return covariance_product(x, y), hsic(x, x), hsic(y, y)


def _resampled(rng: np.random.Generator, scenes: int, count: int) -> NDArray[np.float64]:
    """(count, S) how often each scene is drawn."""
    return rng.multinomial(scenes, np.full(scenes, 1 / scenes), size=count).astype(np.float64)


def _with_estimate(weights: NDArray[np.float64], like: Tensor) -> Tensor:
    every = np.concatenate([np.ones_like(weights[:1]), weights])
    return torch.from_numpy(every).to(like.device)


def _accumulate(sums: dict[str, Tensor], batch: Mapping[str, Tensor]) -> None:
    for name, value in batch.items():
        sums[name] = sums[name] + value if name in sums else value


def _estimates(values: Tensor, reached: Tensor) -> Estimates:
    resamples = values.shape[1] - 1
    if not bool(values.isfinite().all()):
        blocks = (~values.isfinite()).any(1).nonzero()[:, 0].tolist()
        raise ConfigError(
            f"features of blocks {blocks} hardly vary over the scenes; more scenes are needed"
        )
    interval = np.quantile(_array(values[:, 1:]), (0.025, 0.975), axis=1).T
    return Estimates(_array(values[:, 0]), interval, (1 + _array(reached)) / (1 + resamples))


def _array(values: Tensor) -> NDArray[np.float64]:
    return values.double().cpu().numpy()
