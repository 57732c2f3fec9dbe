"""How well predicted probabilities tell successes from failures, and how honest they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

_BINS = 10
Measures = dict[str, float | int | None]


def measure(probabilities: NDArray[np.float64], succeeded: NDArray[np.bool_]) -> Measures:
    """Figures of predictions (N,) of what (N,) came.

    ``auc``: chance that a success is rated above a failure, None without both. ``brier``: mean
    squared error. ``calibration_error``: mean distance of prediction and rate in ten bins, each
    weighted by its examples.
    """
    error = 0.0
    bins = np.minimum((probabilities * _BINS).astype(np.intp), _BINS - 1)
    for number in np.unique(bins):
        inside = bins == number
        error += inside.mean() * abs(probabilities[inside].mean() - succeeded[inside].mean())
    return {
        "examples": len(succeeded),
        "success_rate": float(succeeded.mean()),
        "auc": auc(probabilities, succeeded),
        "brier": float(((probabilities - succeeded) ** 2).mean()),
        "calibration_error": float(error),
    }


def auc(scores: NDArray[np.float64], succeeded: NDArray[np.bool_]) -> float | None:
    """Area under the receiver operating characteristic; ties count half, None without both."""
    good = int(succeeded.sum())
    bad = len(succeeded) - good
    if not good or not bad:
        return None
    ranks = rankdata(scores)[succeeded].sum()
    return float((ranks - good * (good + 1) / 2) / (good * bad))
