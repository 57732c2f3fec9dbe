"""What came of the comparison that trials were made for, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repsam_ros.trials.configuration import CLUTTER, MCNEMAR, SIGN_FLIPS, TrialsConfig
from repsam_ros.trials.statistics import ALL

ALPHA = 0.05
TEST_TITLES = {MCNEMAR: "exact McNemar test", SIGN_FLIPS: "sign flips"}


def verdict(config: TrialsConfig, content: Mapping[str, Any]) -> str:
    """A sentence from the content of ``trials.json``."""
    primary = content["primary"]
    if config.primary is None:
        return "Simulated. No primary comparison was fixed for these trials."
    found = primary["differences"][ALL]
    if not found["pairs"]:
        return "Simulated. The primary comparison has no pairs."
    verb, what, unit = "lifts", "targets", "snapshots"
    if config.protocol == CLUTTER:
        verb, what, unit = "clears", "objects", "rounds"
    low, high = found["ci95"]
    more = "more" if found["points"] >= 0 else "fewer"
    return (
        f"Simulated, {found['pairs']} {unit}: {primary['variant']} {verb} "
        f"{abs(found['points']):.1f} points {more} of the {what} than {primary['against']} (95 % "
        f"interval {low:+.1f} to {high:+.1f}; {TEST_TITLES[config.test]}, "
        f"p = {p_text(primary['p'])}). "
        f"{_difference_words(primary['p'])} {_claim_words(config.primary.claim_points, low, high)}"
    )


def p_text(p: float) -> str:
    """A p value for people."""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _difference_words(p: float) -> str:
    return "The two differ." if p < ALPHA else "The two are not shown to differ."


def _claim_words(claim: float, low: float, high: float) -> str:
    if low <= claim <= high:
        return f"The {claim:+.1f} points that are claimed lie within the interval."
    where = "above" if low > claim else "below"
    return f"The whole interval lies {where} the {claim:+.1f} points that are claimed."
