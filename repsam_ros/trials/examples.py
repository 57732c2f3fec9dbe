"""Which attempts a report shows: the middle one of each kind, so that nobody picks by looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from repsam_ros.trials.configuration import TrialsConfig
from repsam_ros.trials.execution import Outcome
from repsam_ros.trials.rows import AttemptRow
from repsam_ros.trials.statistics import is_success

FOLDER = "examples"


@dataclass(frozen=True)
class Example:
    """An attempt to show; ``file`` is relative to the folder of the trials."""

    row: AttemptRow
    file: str
    caption: str


def choose_examples(config: TrialsConfig, rows: Sequence[AttemptRow]) -> list[Example]:
    """``config.examples`` successes of each stratum and failures of each kind.

    They are of the variant that the experiment is about, failures of others where it has none.
    """
    if not config.examples:
        return []
    main = _main_variant(config)
    chosen: list[AttemptRow] = []
    for stratum in config.strata:
        found = [row for row in rows if row.stratum == stratum and is_success(row)]
        chosen += _middle([row for row in found if row.variant == main], config.examples)
    for outcome in Outcome:
        found = [row for row in rows if row.outcome == outcome.value and not is_success(row)]
        own = [row for row in found if row.variant == main]
        chosen += _middle(own or found, config.examples)
    return [_example(row) for row in chosen]


def _main_variant(config: TrialsConfig) -> str:
    """The primary comparison's, or the last one that has a network, or the first."""
    if config.primary is not None:
        return config.primary.variant
    networks = [variant.name for variant in config.variants if variant.has_network]
    return networks[-1] if networks else config.variants[0].name


def _middle(rows: Sequence[AttemptRow], count: int) -> list[AttemptRow]:
    first = max(0, (len(rows) - count) // 2)
    return list(rows[first : first + count])


def _example(row: AttemptRow) -> Example:
    name = f"{row.stratum}-{row.scene_seed}-{row.attempt}-{row.variant}-{row.outcome}"
    target = f"{row.material} {(row.family or 'object').replace('_', ' ')}"
    seen = "" if row.mask_iou is None else f", mask IoU {row.mask_iou:.2f}"
    caption = (
        f"Simulated, {row.outcome.replace('_', ' ')}: {row.stratum}, scene {row.scene_seed}, "
        f"{row.variant}, {target if row.target_id else 'no target'}{seen}"
    )
    return Example(row, f"{FOLDER}/{name}.webp", caption)
