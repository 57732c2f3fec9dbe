"""What came of the comparison that trials were made for, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repsam_ros.metrics.statistics import interval_text, p_clause, value_text
from repsam_ros.trials.configuration import CLUTTER, MCNEMAR, SIGN_FLIPS, TrialsConfig
from repsam_ros.trials.protocol import GLASS, OPAQUE
from repsam_ros.trials.statistics import ALL

ALPHA = 0.05
# With fewer pairs that differ neither test can come below ALPHA.
LEAST_PAIRS = 6
TEST_TITLES = {MCNEMAR: "exact McNemar test", SIGN_FLIPS: "sign flips"}


def verdict(config: TrialsConfig, content: Mapping[str, Any]) -> str:
    """A sentence from the content of ``trials.json``."""
    primary = content["primary"]
    if config.primary is None:
        return "Simulated. These trials have no primary comparison."
    found = primary["differences"][ALL]
    if not found["pairs"]:
        return "Simulated. The primary comparison has no pairs."
    verb, what, unit = "lifts", "targets", "snapshots"
    if config.protocol == CLUTTER:
        verb, what, unit = "clears", "objects", "rounds"
    more = "more" if found["points"] >= 0 else "fewer"
    return (
        f"Simulated, {found['pairs']} {unit}: {primary['variant']} {verb} "
        f"{abs(found['points']):.1f} points {more} of the {what} than {primary['against']} (95 % "
        f"interval {interval_text(found['ci95'], '+.1f')}; {TEST_TITLES[config.test]}, "
        f"{p_clause(primary['p'])}). "
        + _judgement(primary, config.primary.claim_points)
        + _by_material(primary["differences"])
    )


def _by_material(differences: Mapping[str, Any]) -> str:
    found = {name: differences[name] for name in (OPAQUE, GLASS) if name in differences}
    parts = [
        f"{value_text(each['points'], each['ci95'], '+.1f')} on {name} targets"
        for name, each in found.items()
        if each["pairs"]
    ]
    return f" By material: {', '.join(parts)}." if len(parts) > 1 else ""


def _judgement(primary: Mapping[str, Any], claim: float) -> str:
    if primary["only_variant"] + primary["only_against"] < LEAST_PAIRS:
        return f"Fewer than {LEAST_PAIRS} pairs differ: too few to judge by."
    low, high = primary["differences"][ALL]["ci95"]
    differ = "The two differ." if primary["p"] < ALPHA else "The two are not shown to differ."
    if low <= claim <= high:
        return f"{differ} The {claim:+.1f} points that are claimed lie within the interval."
    where = "above" if low > claim else "below"
    return f"{differ} The whole interval lies {where} the {claim:+.1f} points that are claimed."
