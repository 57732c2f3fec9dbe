"""How certain means and differences over images are.

Images of one scene are alike, and so are runs from one seed: where such groups exist, whole groups
are the units that are drawn, flipped and counted. Without groups each image is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from repsam_ros.errors import ConfigError

# Up to this many groups all sign flips are counted, 65,536 at most.
_EXACT_GROUPS = 16
_PERMUTATIONS = 9999
_BATCH = 1000


@dataclass(frozen=True)
class BootstrapSettings:
    """Bootstrap over images or groups of them.

    Attributes:
        samples: Number of resamples.
        seed: Same seed, same interval.
    """

    samples: int = 5000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ConfigError(f"bootstrap.samples must be at least 1, got {self.samples}")


def scene_groups(scenes: Sequence[str]) -> NDArray[np.intp] | None:
    """(N,) number of the scene of each image.

    None where all images are of one scene or none is known, or each is of its own: then images
    are the units.
    """
    different, groups = np.unique(scenes, return_inverse=True)
    return groups.astype(np.intp) if 1 < len(different) < len(scenes) else None


def bootstrap_intervals(
    values: NDArray[np.float64],
    settings: BootstrapSettings,
    groups: NDArray[np.intp] | None = None,
) -> NDArray[np.float64]:
    """(2, K) bounds of the 95 % intervals of the column means of (images, K) values.

    All columns are resampled together, so their intervals belong to the same images; differences
    of two runs on the same images make it a paired bootstrap. Percentiles are widened for few
    units (Hesterberg 2015, expanded percentile interval), without which 20 images cover the truth
    91 times of 100.

    Args:
        groups: (images,) group of each image: groups are drawn first, then images within each
            (hierarchical bootstrap, Davison and Hinkley 1997, section 3.8), which is a little
            cautious where groups do not matter.
    """
    rng = np.random.default_rng(settings.seed)
    draw = _image_draws(len(values), rng) if groups is None else _group_draws(groups, rng)
    means = np.empty((settings.samples, values.shape[1]))
    for sample in range(settings.samples):
        means[sample] = values[draw()].mean(axis=0)
    tail = _expanded_tail(len(values) if groups is None else len(np.unique(groups)))
    return np.asarray(np.quantile(means, (tail, 1 - tail), axis=0))


def means_with_intervals(
    names: Sequence[str],
    values: NDArray[np.float64],
    settings: BootstrapSettings,
    groups: NDArray[np.intp] | None = None,
) -> dict[str, dict[str, Any]]:
    """``mean`` and ``ci95`` by name of the columns of (images, K) values, with four decimals.

    Args:
        groups: See :func:`bootstrap_intervals`.
    """
    bounds = known_bounds(values, settings, groups)
    return {
        "mean": {
            name: round(float(mean), 4)
            for name, mean in zip(names, values.mean(axis=0), strict=True)
        },
        "ci95": dict(zip(names, bounds, strict=True)),
    }


def known_bounds(
    values: NDArray[np.float64],
    settings: BootstrapSettings,
    groups: NDArray[np.intp] | None = None,
) -> list[list[float] | None]:
    """:func:`bootstrap_intervals` by column, with four decimals, as files have them.

    None of a single unit, of which nothing can be known.
    """
    if (len(values) if groups is None else len(np.unique(groups))) < 2:
        return [None] * values.shape[1]
    bounds = bootstrap_intervals(values, settings, groups).T
    return [[round(float(bound), 4) for bound in pair] for pair in bounds]


def sign_flip_test(
    differences: NDArray[np.float64], groups: NDArray[np.intp] | None = None, seed: int = 0
) -> float:
    """Two-sided p of the paired permutation test that the mean of (N,) differences is zero.

    All sign flips are counted for up to 16 groups (n groups cannot go below p = 2 / 2^n), else
    9,999 are drawn and the data themselves count as one more (Phipson and Smyth 2010).
    """
    sums = _group_sums(differences, groups)
    if len(sums) < 2:
        return 1.0  # both flips are as far from zero
    result = stats.permutation_test(
        (sums,),
        lambda flipped, axis: flipped.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2 ** len(sums) if len(sums) <= _EXACT_GROUPS else _PERMUTATIONS,
        batch=_BATCH,
        random_state=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def equivalence_test(
    differences: NDArray[np.float64], margin: float, groups: NDArray[np.intp] | None = None
) -> float:
    """p of two one-sided t tests that the mean of (N,) differences is not within the margin.

    A small p shows equivalence (Schuirmann 1987). The standard error is the jackknife's, which
    leaves out one group after the other; without groups it is that of the paired t test. One
    group alone shows nothing.

    Raises:
        ConfigError: The margin is not positive.
    """
    if not margin > 0:
        raise ConfigError(f"margin must be positive, got {margin}")
    mean = float(differences.mean())
    residuals = _group_sums(differences - mean, groups)
    sizes = _group_sums(np.ones(len(differences)), groups)
    count = len(sizes)
    if count < 2:
        return 1.0
    changes = residuals / (len(differences) - sizes)
    error = float(np.sqrt((count - 1) / count * np.sum(changes**2)))
    if error == 0:
        return float(abs(mean) >= margin)
    return float(stats.t.sf((margin - abs(mean)) / error, count - 1))


def mcnemar_test(first: ArrayLike, second: ArrayLike) -> float:
    """Two-sided exact p that two (N,) bool outcomes of the same trials are equally often true."""
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    changed = only_first + only_second
    return float(stats.binomtest(only_first, changed).pvalue) if changed else 1.0


def interval_text(ci95: Sequence[float] | None, form: str) -> str:
    """Bounds as they stand in a table; ``form`` is that of a number, such as ``+.2f``."""
    return "-" if ci95 is None else f"{ci95[0]:{form}} to {ci95[1]:{form}}"


def value_text(value: float, ci95: Sequence[float] | None, form: str = ".1f") -> str:
    """A value with its bounds, see :func:`interval_text`."""
    return f"{value:{form}} ({interval_text(ci95, form)})"


def p_text(p: float) -> str:
    """A p value as it stands in a table."""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def p_clause(p: float) -> str:
    """A p value as it stands in a sentence: ``p = 0.0123``, ``p < 0.0001``."""
    return f"p {p_text(p)}" if p < 0.0001 else f"p = {p_text(p)}"


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """(K,) p values adjusted for K tests (Holm 1979); valid however the tests depend."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1.0)


def rank_correlation(x: ArrayLike, y: ArrayLike, seed: int = 0) -> tuple[float, float]:
    """Spearman's rho of two (N,) variables and its two-sided permutation p.

    Network blocks are too few for the usual approximation of p. A constant variable has rho 0 and
    p 1.
    """
    ranks = np.stack([stats.rankdata(values) for values in (x, y)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    scale = float(np.sqrt(np.prod(np.sum(ranks**2, axis=1))))
    if scale == 0:
        return 0.0, 1.0
    result = stats.permutation_test(
        (ranks[0],),
        lambda permuted, axis: (permuted * ranks[1]).sum(axis=axis),
        permutation_type="pairings",
        vectorized=True,
        n_resamples=_PERMUTATIONS,
        batch=_BATCH,
        random_state=np.random.default_rng(seed),
    )
    return float(result.statistic) / scale, float(result.pvalue)


def _expanded_tail(count: int) -> float:
    """The quantile that 2.5 % becomes for ``count`` units."""
    if count < 2:
        return 0.025
    scale = np.sqrt(count / (count - 1))
    return float(stats.norm.cdf(scale * stats.t.ppf(0.025, count - 1)))


def _image_draws(count: int, rng: np.random.Generator) -> Callable[[], NDArray[np.int64]]:
    return lambda: rng.integers(count, size=count)


def _group_draws(
    groups: NDArray[np.intp], rng: np.random.Generator
) -> Callable[[], NDArray[np.int64]]:
    """Draws of image numbers in two stages; larger groups bring more images, as in the data."""
    order = np.argsort(groups, kind="stable")
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)

    def draw() -> NDArray[np.int64]:
        drawn = rng.integers(len(sizes), size=len(sizes))
        repeats = np.repeat(drawn, sizes[drawn])
        return np.asarray(order[starts[repeats] + rng.integers(sizes[repeats])])

    return draw


def _group_sums(
    values: NDArray[np.float64], groups: NDArray[np.intp] | None
) -> NDArray[np.float64]:
    if groups is None:
        return values
    _, numbers = np.unique(groups, return_inverse=True)
    return np.asarray(np.bincount(numbers, weights=values), np.float64)
