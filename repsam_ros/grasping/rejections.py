"""Why candidates are dropped, each counted under one cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def reject(reasons: Mapping[str, NDArray[np.bool_]], rejected: Counter[str]) -> NDArray[np.bool_]:
    """Which candidates no reason speaks against; each other one is counted once."""
    usable = ~np.zeros_like(next(iter(reasons.values())))
    for reason, failed in reasons.items():
        rejected[reason] += int(np.count_nonzero(usable & failed))
        usable &= ~failed
    return usable
