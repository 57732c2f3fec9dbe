"""The model card of a grasp scorer, from its configuration and what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repsam_ros.presentation.markdown import table
from repsam_ros.trials.scorer.settings import ScorerConfig

_COLUMNS = {"auc": "AUC", "brier": "Brier score", "calibration_error": "calibration error"}


def make_card(config: ScorerConfig, about: Mapping[str, Any]) -> str:
    """Markdown.

    Args:
        about: ``sha256``, ``parameters``, ``scenes``, ``examples`` and ``measured`` of
            :mod:`repsam_ros.trials.scorer.measures` by the part of the validation scenes.
    """
    scenes, examples = about["scenes"], about["examples"]
    strata = ", ".join(config.strata)
    first = min(config.seeds(name)[0] for name in config.strata)
    last = max(config.seeds(name)[-1] for name in config.strata)
    rows = [
        [
            name,
            str(each["examples"]),
            f"{100 * each['success_rate']:.1f} %",
            *("-" if each[key] is None else f"{each[key]:.3f}" for key in _COLUMNS),
        ]
        for name, each in about["measured"].items()
    ]
    return "\n".join(
        [
            "# grasp_scorer",
            "",
            "Written by `repsam scorer train`; do not edit.",
            "",
            f"- sha256 `{about['sha256']}`, {about['parameters'] / 1000:.0f} thousand parameters,"
            " Apache-2.0",
            "- Gives the probability that a grasp lifts its object, from the cloud round the hand;"
            " ranks the candidates of the planner `learned`",
            f"- Learned from {examples['learned']:,} crops of grasps executed in simulated physics"
            f" in {scenes['learned']} scenes ({strata}; seeds from {first} to {last}, none of them"
            " for tuning or held out). Each executed grasp is shown in up to three clouds of one"
            " view",
            "",
            "## Measured",
            "",
            f"Simulated, on {examples['validation']:,} crops of {scenes['validation']} other scenes"
            " of the same kind. AUC: chance that a success is rated above a failure. Calibration"
            " error: mean distance of predicted and counted rates in ten bins.",
            "",
            table(["part", "n", "success rate", *_COLUMNS.values()], rows),
            "",
            "## Limits",
            "",
            "- Objects, physics and sensor are simulated; nothing here was measured on a robot.",
            "- Learned with the hand `panda` alone. The fingers' place is part of what the network"
            " sees, so other hands can be ranked, but none was tried.",
            "- The rates of the examples are those of grasps drawn at random, not of a planner's"
            " best ones.",
            "",
        ]
    )
