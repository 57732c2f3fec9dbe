"""Which of several learning rates a training takes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from repsam_ros.errors import ConfigError

logger = logging.getLogger(__name__)

# Score of each learning rate; None where the training diverged.
RateScores: TypeAlias = dict[float, float | None]


def best_rate(scores: Mapping[float, float | None]) -> float:
    """The learning rate with the highest score."""
    known = {rate: -np.inf if score is None else score for rate, score in scores.items()}
    return max(known, key=lambda rate: known[rate])


def check_rates(what: str, scores: Mapping[float, float | None]) -> None:
    """Warns where better rates may lie beyond those that were tried.

    Raises:
        ConfigError: The training diverged at each of them.
    """
    if all(score is None for score in scores.values()):
        raise ConfigError(f"training of {what} diverges at each of the rates {list(scores)}")
    best = best_rate(scores)
    if len(scores) > 2 and best in (min(scores), max(scores)):
        logger.warning("%s: the best rate, %g, is at the end of %s", what, best, list(scores))
