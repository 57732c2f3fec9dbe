"""What the ablation says about each definition of CKA.

The primary comparison is fixed before the run. For each arm whose ranks follow a definition of CKA
it is made twice, against ``uniform`` and against the mean of the random permutations, paired by
seed and scene:

- *supported*: better than both, Holm-adjusted p of sign flips over seeds below alpha;
- *falsified*: within the margin of both (two one-sided tests over seeds; both must hold, so they
  need no adjustment), or significantly worse than either;
- *inconclusive*: else.

Where rounding gives an arm the ranks of what it is compared with, there is nothing to judge. A gain
can be significant and within the margin at once; it is supported then, and the sentence
says that it is small. The random allocations are given: nothing is said about permutations that
were not drawn. n seeds cannot reach a p below 2 / 2^n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from repsam_ros.adaptation.ablation.results import INPUTS, RunResult
from repsam_ros.adaptation.ablation.score_matrices import (
    RANDOM,
    UNIFORM,
    Cell,
    Effect,
    RunTable,
    combined,
    measured,
)
from repsam_ros.adaptation.ablation.secondary import (
    ArmScore,
    Factorial,
    arm_scores,
    factorial,
)
from repsam_ros.errors import ConfigError
from repsam_ros.metrics.labels import SCORE_NAMES
from repsam_ros.metrics.statistics import BootstrapSettings, equivalence_test, holm

DEFINITIONS = {
    "cka": "paired CKA",
    "finetuned": "CKA with the fully fine-tuned encoder",
    "covariance": "feature-covariance alignment",
}
_METRICS = {"strict_miou": "strict mIoU", "pooled_miou": "pooled mIoU", "pct75": "%75"}


@dataclass(frozen=True, kw_only=True)
class VerdictSettings:
    """The primary comparison.

    Attributes:
        metric: One of ``SCORE_NAMES``.
        fusion: RGB-D where true, RGB where false.
        margin: Arms within this many points of each other count as equally good.
        alpha: Level of all tests.
    """

    dataset: str = "simulated"
    metric: str = "strict_miou"
    mean_rank: int = 4
    fusion: bool = True
    margin: float = 0.5
    alpha: float = 0.05
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)

    def __post_init__(self) -> None:
        if self.metric not in SCORE_NAMES:
            names = ", ".join(SCORE_NAMES)
            raise ConfigError(f"unknown score {self.metric!r}; there are {names}")
        if self.mean_rank < 1:
            raise ConfigError(f"mean_rank must be at least 1, got {self.mean_rank}")
        if not self.margin > 0:
            raise ConfigError(f"margin must be positive, got {self.margin}")
        if not 0 < self.alpha < 1:
            raise ConfigError(f"alpha must lie between 0 and 1, got {self.alpha}")

    @property
    def place(self) -> str:
        """Where the comparison is made, in words."""
        metric = _METRICS.get(self.metric, self.metric.replace("_", " "))
        return f"{self.dataset} {metric} at mean rank {self.mean_rank} with {INPUTS[self.fusion]}"


@dataclass(frozen=True)
class Comparison:
    """An arm against another, the first minus the second.

    Attributes:
        against: In words.
        effect: None where not judged.
        not_judged: Why, or None.
        p_holm: ``effect.p`` adjusted for all comparisons that are judged.
        p_equivalence: That the difference is not within the margin; small means that it is.
    """

    arm: str
    against: str
    effect: Effect | None
    not_judged: str | None = None
    p_holm: float = 1.0
    p_equivalence: float = 1.0


@dataclass(frozen=True)
class DefinitionVerdict:
    """What is said about one definition of CKA.

    Attributes:
        word: ``supported``, ``falsified``, ``inconclusive``, or ``not judged`` where a comparison
            is not.
        reason: Why this word.
        sentence: All of it, for print.
    """

    arm: str
    definition: str
    word: str
    reason: str
    sentence: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Verdict:
    """Everything that the statistics say.

    Attributes:
        factorials: {uniform, cka} x {RGB, RGB-D}, one a data set.
        arms: Secondary table, not adjusted for its size.
    """

    settings: VerdictSettings
    definitions: tuple[DefinitionVerdict, ...]
    factorials: tuple[Factorial, ...]
    arms: tuple[ArmScore, ...]


def judge(results: Sequence[RunResult], settings: VerdictSettings) -> Verdict:
    """Judges each definition of CKA that has runs.

    Raises:
        DatasetError: See :class:`RunTable`.
        ConfigError: The results lack the data set or the score of the primary comparison.
    """
    runs = RunTable(results)
    if settings.dataset not in runs.datasets:
        have = ", ".join(runs.datasets) or "none"
        raise ConfigError(f"no run has scores on {settings.dataset!r}; there are: {have}")
    if settings.metric not in runs.scores(settings.dataset):
        raise ConfigError(f"no run has the score {settings.metric} on {settings.dataset}")
    arms = [arm for arm in DEFINITIONS if any(run.arm == arm for run in results)]
    family = [_compared(runs, arm, other, settings) for arm in arms for other in (UNIFORM, RANDOM)]
    family = _adjusted(family)
    return Verdict(
        settings=settings,
        definitions=tuple(
            _definition_verdict(arm, tuple(c for c in family if c.arm == arm), settings)
            for arm in arms
        ),
        factorials=tuple(
            factorial(runs, name, settings.metric, settings.mean_rank, settings.bootstrap)
            for name in runs.datasets
            if settings.metric in runs.scores(name)
        ),
        arms=arm_scores(runs, settings.bootstrap),
    )


def _compared(runs: RunTable, arm: str, other: str, settings: VerdictSettings) -> Comparison:
    place = (settings.mean_rank, settings.fusion)
    against = UNIFORM if other == UNIFORM else _random_name(len(runs.random_arms(*place)))
    cells = [Cell(name, *place) for name in (arm, other)]
    pair = [runs.matrix(cell, settings.dataset, settings.metric) for cell in cells]
    difference = combined(pair, (1, -1))
    if len(difference.seeds) < 2:
        reason = f"common seeds with {against}: {len(difference.seeds)}, at least 2 are needed"
        return Comparison(arm, against, None, not_judged=reason)
    if runs.have_same_ranks(*cells):
        return Comparison(arm, against, None, not_judged=f"its ranks are those of {against}")
    return Comparison(
        arm,
        against,
        measured(difference, settings.bootstrap),
        p_equivalence=equivalence_test(difference.seed_means, settings.margin),
    )


def _random_name(count: int) -> str:
    few = {0: "random allocations", 1: "one random allocation"}
    return few.get(count, f"the mean of {count} random allocations")


def _adjusted(family: list[Comparison]) -> list[Comparison]:
    p = iter(holm([c.effect.p for c in family if c.effect]).tolist())
    return [replace(c, p_holm=next(p)) if c.effect else c for c in family]


def _definition_verdict(
    arm: str, comparisons: tuple[Comparison, ...], settings: VerdictSettings
) -> DefinitionVerdict:
    word, reason = _word(comparisons, settings)
    parts = [
        f"{c.effect.difference:+.2f} points over {c.against} {_interval(c.effect)}, "
        f"Holm p = {c.p_holm:.3g}, {len(c.effect.seeds)} seeds"
        for c in comparisons
        if c.effect
    ]
    name = DEFINITIONS[arm]
    head = f"Allocation by {name} is {word} on {settings.place}"
    sentence = f"{head}: {'; '.join([*parts, reason])}."
    return DefinitionVerdict(arm, name, word, reason, sentence, comparisons)


def _word(comparisons: tuple[Comparison, ...], settings: VerdictSettings) -> tuple[str, str]:
    """The verdict and why."""
    reasons = [c.not_judged for c in comparisons if c.not_judged]
    if reasons:
        return "not judged", "; ".join(reasons)
    effects = [(c, c.effect) for c in comparisons if c.effect]
    clear = [(c, e) for c, e in effects if c.p_holm < settings.alpha]
    within = all(c.p_equivalence < settings.alpha for c, _ in effects)
    margin = f"within {settings.margin:g} points of both"
    if worse := [c.against for c, e in clear if e.difference < 0]:
        return "falsified", f"significantly worse than {' and '.join(worse)}"
    if len(clear) == len(effects):
        return "supported", "better than both" + (f", though {margin}" if within else "")
    if within:
        return "falsified", margin
    least = 2 / 2 ** min(len(e.seeds) for _, e in effects)
    few = f" (so few seeds cannot go below p = {least:g})" if least >= settings.alpha else ""
    return "inconclusive", f"neither better than both nor shown to be {margin}{few}"


def _interval(effect: Effect) -> str:
    return "" if effect.ci95 is None else f"[{effect.ci95[0]:+.2f}, {effect.ci95[1]:+.2f}]"
