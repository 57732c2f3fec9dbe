"""Scores as matrices of seeds and scenes, and how certain their means are.

Every network is scored on the same scenes, so seeds and scenes are *crossed* factors: a scene that
is hard is hard for all seeds. The bootstrap therefore draws seeds and scenes independently and
takes every drawn scene of every drawn seed (Owen, "The pigeonhole bootstrap", Annals of Applied
Statistics 2007). Drawing scenes anew within each seed would treat the effect of a scene as
independent between seeds and divide its variance by the number of seeds once too often.

The interval is Student's with the bootstrap's standard error, because percentiles cannot reach
beyond the data and so cover too little with few seeds. Its degrees of freedom are Satterthwaite's
(Biometrics Bulletin 1946) for the sum of a variance of seeds and one of scenes. From five seeds on
it covers the truth at least 95 times of 100 and more often where noise outweighs the effects of
seeds and scenes, which the crossed bootstrap counts up to three times; with two seeds it may be as
few as 88.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from repsam_ros.adaptation.ablation.results import RunResult
from repsam_ros.adaptation.image_scores import Scores
from repsam_ros.errors import DatasetError, shortened
from repsam_ros.metrics.statistics import BootstrapSettings, scene_groups, sign_flip_test

UNIFORM = "uniform"
# The mean of all arms that start with RANDOM_PREFIX.
RANDOM = "random"
RANDOM_PREFIX = "random_"


class Cell(NamedTuple):
    """The runs that differ in their seed alone."""

    arm: str
    mean_rank: int
    fusion: bool


@dataclass(frozen=True)
class SceneMatrix:
    """One score, or a difference, of each seed on each scene.

    Attributes:
        seeds: S, ascending.
        values: (S, J) means over the images of a scene, points.
        images: (J,) images of each scene, by which scenes count.
    """

    seeds: tuple[int, ...]
    values: NDArray[np.float64]
    images: NDArray[np.int64]

    @property
    def seed_means(self) -> NDArray[np.float64]:
        """(S,) means over images."""
        return np.asarray(self.values @ self.images / self.images.sum())


@dataclass(frozen=True)
class Effect:
    """A mean difference.

    Attributes:
        difference: Mean over seeds and images, points.
        ci95: See :func:`crossed_interval`.
        p: Sign flips of the seeds' means, two-sided: seeds vary, the test scenes are given.
        by_seed: Difference of each of ``seeds``.
    """

    difference: float
    ci95: tuple[float, float] | None
    p: float
    seeds: tuple[int, ...]
    by_seed: tuple[float, ...]
    scenes: int


class RunTable:
    """The runs of an ablation by cell, all on the same frames.

    Raises:
        DatasetError: A run is given twice, or lacks a data set, a score, a scene or an image that
            another one has.
    """

    def __init__(self, results: Sequence[RunResult]) -> None:
        self._runs: dict[Cell, dict[int, RunResult]] = {}
        for run in results:
            runs = self._runs.setdefault(Cell(run.arm, run.mean_rank, run.fusion), {})
            if run.seed in runs:
                raise DatasetError(f"{run.key} is given twice")
            runs[run.seed] = run
        self.datasets = sorted({name for run in results for name in run.scores})
        for name in self.datasets:
            _check_same_frames(name, results)

    @property
    def cells(self) -> list[Cell]:
        """Those that have runs; the mean of random arms is one too."""
        means = {
            Cell(RANDOM, cell.mean_rank, cell.fusion)
            for cell in self._runs
            if cell.arm.startswith(RANDOM_PREFIX)
        }
        return sorted({*self._runs, *means}, key=_order)

    def scores(self, dataset: str) -> list[str]:
        """The scores that all runs have on a data set."""
        return list(self._some(dataset).values)

    def random_arms(self, mean_rank: int, fusion: bool) -> list[str]:
        """Those that have runs at a budget."""
        at = [arm for arm, *rest in self._runs if rest == [mean_rank, fusion]]
        return sorted(arm for arm in at if arm.startswith(RANDOM_PREFIX))

    def have_same_ranks(self, cell: Cell, other: Cell) -> bool:
        """Whether no run of two cells differs in its ranks; both cells have runs."""
        arms = [other.arm] if other.arm != RANDOM else self.random_arms(*other[1:])
        cells = [cell, *(other._replace(arm=arm) for arm in arms)]
        return len({run.ranks for one in cells for run in self._runs[one].values()}) == 1

    def matrix(self, cell: Cell, dataset: str, metric: str) -> SceneMatrix:
        """One score of a cell; without rows where no run is there."""
        if cell.arm == RANDOM:
            arms = self.random_arms(cell.mean_rank, cell.fusion)
            parts = [self.matrix(cell._replace(arm=arm), dataset, metric) for arm in arms]
            return combined(parts, [1 / len(parts)] * len(parts)) if parts else self._none(dataset)
        runs = self._runs.get(cell, {})
        if not runs:
            return self._none(dataset)
        seeds = tuple(sorted(runs))
        rows = [_scene_means(runs[seed].scores[dataset], metric) for seed in seeds]
        return SceneMatrix(seeds, np.array(rows), self._images(dataset))

    def _some(self, dataset: str) -> Scores:
        return next(iter(next(iter(self._runs.values())).values())).scores[dataset]

    def _images(self, dataset: str) -> NDArray[np.int64]:
        return np.bincount(_scene_numbers(self._some(dataset))).astype(np.int64)

    def _none(self, dataset: str) -> SceneMatrix:
        images = self._images(dataset)
        return SceneMatrix((), np.empty((0, len(images))), images)


def combined(matrices: Sequence[SceneMatrix], weights: Sequence[float]) -> SceneMatrix:
    """Weighted sum on the seeds that all have, so that each seed is paired with itself."""
    seeds = tuple(sorted(set.intersection(*(set(m.seeds) for m in matrices))))
    rows = [[m.seeds.index(seed) for seed in seeds] for m in matrices]
    parts = [w * m.values[r] for m, r, w in zip(matrices, rows, weights, strict=True)]
    return SceneMatrix(seeds, np.sum(parts, axis=0), matrices[0].images)


def measured(matrix: SceneMatrix, bootstrap: BootstrapSettings) -> Effect:
    """The mean of a matrix of differences that has at least one seed."""
    means = matrix.seed_means
    return Effect(
        difference=float(means.mean()),
        ci95=crossed_interval(matrix, bootstrap),
        p=sign_flip_test(means, seed=bootstrap.seed),
        seeds=matrix.seeds,
        by_seed=tuple(means.tolist()),
        scenes=len(matrix.images),
    )


def crossed_interval(
    matrix: SceneMatrix, bootstrap: BootstrapSettings
) -> tuple[float, float] | None:
    """95 % interval of the mean over seeds and images, see the module; None for a single seed or
    scene, of which nothing can be known."""
    if min(matrix.values.shape) < 2:
        return None
    rows, columns = matrix.values.shape
    seeds, scenes = _draws(rows, columns, bootstrap.samples, bootstrap.seed)
    images = scenes * matrix.images
    means = np.sum((seeds @ matrix.values) * images, axis=1) / images.sum(axis=1) / rows
    mean = float(matrix.seed_means.mean())
    shares = (matrix.values.mean(axis=0) - mean) * matrix.images / matrix.images.sum()
    # What seeds and scenes add to the variance of the mean; the bootstrap has (n - 1) / n of each.
    parts = np.array(
        [matrix.seed_means.var() / (rows - 1), np.sum(shares**2) * columns / (columns - 1)]
    )
    if not parts.any():
        return mean, mean
    counts = np.array([rows, columns])
    scale = parts.sum() / np.sum(parts * (counts - 1) / counts)
    freedom = parts.sum() ** 2 / np.sum(parts**2 / (counts - 1))
    half = float(stats.t.ppf(0.975, freedom) * means.std() * np.sqrt(scale))
    return mean - half, mean + half


@lru_cache(maxsize=8)
def _draws(
    seeds: int, scenes: int, samples: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How often each seed (samples, S) and each scene (samples, J) is drawn."""
    rng = np.random.default_rng(seed)
    first, second = (rng.multinomial(n, np.full(n, 1 / n), samples) for n in (seeds, scenes))
    return first.astype(np.float64), second.astype(np.float64)


def _order(cell: Cell) -> tuple[bool, int, bool, str]:
    """As tables list them: RGB-D first, ``uniform`` above those that are compared with it."""
    return not cell.fusion, cell.mean_rank, cell.arm != UNIFORM, cell.arm


def _scene_numbers(scores: Scores) -> NDArray[np.intp]:
    """(N,) unit of each image, images sorted by name."""
    scenes = [scene for _, scene in sorted(zip(scores.names, scores.scenes, strict=True))]
    groups = scene_groups(scenes)
    return np.arange(len(scenes)) if groups is None else groups


def _scene_means(scores: Scores, metric: str) -> NDArray[np.float64]:
    values = np.array(scores.values[metric])[np.argsort(np.array(scores.names))]
    groups = _scene_numbers(scores)
    return np.asarray(np.bincount(groups, weights=values) / np.bincount(groups))


def _check_same_frames(dataset: str, results: Sequence[RunResult]) -> None:
    scenes: dict[str, str] = {}
    metrics: set[str] = set()
    for run in results:
        if dataset not in run.scores:
            raise DatasetError(f"{run.key} lacks the scores on {dataset}")
        scores = run.scores[dataset]
        metrics |= set(scores.values)
        for name, scene in zip(scores.names, scores.scenes, strict=True):
            if scenes.setdefault(name, scene) != scene:
                raise DatasetError(
                    f"{run.key}: {dataset} image {name} is of scene {scene!r}, elsewhere of "
                    f"{scenes[name]!r}"
                )
    for run in results:
        scores = run.scores[dataset]
        images = scenes.keys() - set(scores.names)
        for what, missing in (
            ("scene", {scenes[name] for name in images} - set(scores.scenes)),
            ("image", images),
            ("score", metrics - set(scores.values)),
        ):
            if missing:
                raise DatasetError(
                    f"{run.key}: {dataset} lacks {what} {shortened(sorted(missing))}"
                )
