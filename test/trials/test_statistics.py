"""Rates, intervals and tests from hand-made rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from repsam_ros.metrics.statistics import mcnemar_test, sign_flip_test
from repsam_ros.trials.configuration import TrialsConfig
from repsam_ros.trials.rows import AttemptRow, AttemptTimes
from repsam_ros.trials.statistics import (
    cleared_shares,
    declutter_rate,
    success_rate,
    summarise,
    time_shares,
)
from repsam_ros.trials.verdict import verdict

Make = Callable[..., TrialsConfig]


def row(variant: str, seed: int, outcome: str = "success", **values: Any) -> AttemptRow:
    content: dict[str, Any] = {item.name: None for item in fields(AttemptRow)}
    content |= {"stratum": "packed", "scene_seed": seed, "attempt": 0, "variant": variant}
    content |= {"objects": 5, "target_id": 1, "material": "opaque", "instances": 5, "grasps": 3}
    content |= {"outcome": outcome, "mask_iou": 0.8, "lifted": "", "x_m": 0.0}
    return AttemptRow(**(content | values))


def shots(variant: str, successes: list[bool], **values: Any) -> list[AttemptRow]:
    ends = ["success" if each else "slipped" for each in successes]
    return [row(variant, 1900 + k, end, **values) for k, end in enumerate(ends)]


def test_a_rate_and_wilsons_interval(tiny: Make) -> None:
    """Wilson's interval of 8 of 10: Agresti and Coull 1998."""
    rate = success_rate(tiny(), shots("exact", [True] * 8 + [False] * 2))
    assert (rate.count, rate.total, rate.percent) == (8, 10, 80.0)
    assert rate.ci95 == pytest.approx((49.02, 94.33), abs=0.01)


def test_what_was_not_detected_counts_in_single_shots_alone(tiny: Make) -> None:
    rows = [row("exact", 1900), row("exact", 1901, "not_detected", x_m=None)]
    assert success_rate(tiny(), rows).percent == 50.0
    assert success_rate(tiny(protocol="clutter"), rows).percent == 100.0
    assert success_rate(tiny(), []).percent is None


def test_rounds_are_drawn_as_a_whole(tiny: Make) -> None:
    """Ten attempts of two rounds are no ten attempts: the interval is as wide as two allow."""
    rows = [row("exact", 1900, attempt=k) for k in range(5)]
    rows += [row("exact", 1901, "missed", attempt=k) for k in range(5)]
    rate = success_rate(tiny(protocol="clutter"), rows)
    assert (rate.percent, rate.ci95) == (50.0, (0.0, 100.0))


def test_rounds_that_all_went_alike_leave_doubt(tiny: Make) -> None:
    """Resampling equal values tells nothing: 60 whole rounds are 60 of 60, not certainty."""
    config = tiny(protocol="clutter")
    rows = [row("exact", 1900 + k // 2, attempt=k % 2, lifted="1 2 3") for k in range(120)]
    rows = [replace(each, objects=6 - 3 * each.attempt) for each in rows]
    wanted = (100 * 60 / (60 + stats.norm.ppf(0.975) ** 2), 100.0)  # Wilson's, of 60 of 60
    assert success_rate(config, rows).ci95 == pytest.approx(wanted, abs=1e-3)
    found = declutter_rate(rows, config.bootstrap)
    assert found["percent"] == 100.0
    assert found["ci95"] == pytest.approx(wanted, abs=1e-3)
    nothing = [replace(each, outcome="missed", lifted="") for each in rows]
    upper = (0.0, 100.0 - wanted[0])
    assert success_rate(config, nothing).ci95 == pytest.approx(upper, abs=1e-3)
    assert declutter_rate(nothing, config.bootstrap)["ci95"] == pytest.approx(upper, abs=1e-3)


def test_objects_that_were_lifted_are_cleared_whichever_was_meant(tiny: Make) -> None:
    rows = [
        row("exact", 1900, attempt=0, lifted="2"),
        row("exact", 1900, "wrong_object", attempt=1, lifted="3 4", objects=4),
        row("exact", 1900, "missed", attempt=2, objects=2),
        row("exact", 1901, "no_grasp", x_m=None, objects=4),
    ]
    assert cleared_shares(rows) == {("packed", 1900): 3 / 5, ("packed", 1901): 0.0}
    found = declutter_rate(rows, tiny().bootstrap)
    assert (found["total"], found["percent"]) == (2, 30.0)


def test_contrasts_are_paired_by_scene_and_split_by_material(tiny: Make) -> None:
    exact = [True] * 9 + [False] * 3
    other = [True] * 2 + [False] * 7 + [True] + [False] * 2
    rows = shots("exact", exact) + shots("no_masks", other)
    rows = [
        r if r.scene_seed < 1906 else AttemptRow(**{**vars(r), "material": "glass"}) for r in rows
    ]
    rows += shots("random", [False] * 12)
    content = summarise(tiny(), rows[::-1], [])
    primary = content["primary"]
    assert primary["p"] == primary["p_holm"] == mcnemar_test(exact, other)
    assert (primary["only_variant"], primary["only_against"]) == (7, 1)
    differences = primary["differences"]
    assert differences["all"]["points"] == pytest.approx(50.0)
    low, high = differences["all"]["ci95"]
    assert 0 < low < 50 < high
    assert differences["opaque"] | {"ci95": None} == {"pairs": 6, "points": 66.6667, "ci95": None}
    assert differences["glass"]["points"] == pytest.approx(100 / 3, abs=1e-3)
    assert [each["against"] for each in content["secondary"]] == ["random"]
    told = verdict(tiny(), content)
    assert told.startswith("Simulated, 12 snapshots: exact lifts 50.0 points more of the targets")
    assert "not shown to differ" in told and "lie within" in told
    assert "+66.7 (" in told and told.endswith("on glass targets.")


def test_holm_is_over_the_secondary_comparisons(tiny: Make) -> None:
    contrasts = [{"variant": "exact", "against": name} for name in ("random", "no_masks")]
    rows = shots("exact", [True] * 8)
    rows += shots("random", [False] * 8) + shots("no_masks", [True] * 2 + [False] * 6)
    first, second = summarise(tiny(secondary=contrasts), rows, [])["secondary"]
    assert first["p"] == pytest.approx(2 / 2**8)
    assert (first["p_holm"], second["p_holm"]) == pytest.approx((4 / 2**8, 2 / 2**6))


def test_rounds_are_compared_by_what_was_cleared(tiny: Make) -> None:
    rows = []
    for k in range(6):
        rows.append(row("exact", 1900 + k, lifted="1 2 3 4" if k else "1 2"))
        rows.append(row("no_masks", 1900 + k, lifted="1"))
    config = tiny(protocol="clutter", secondary=[])
    primary = summarise(config, rows, [])["primary"]
    wanted = np.array([0.2] + 5 * [0.6])
    assert primary["differences"]["all"]["points"] == pytest.approx(100 * wanted.mean(), abs=1e-3)
    assert primary["p"] == pytest.approx(sign_flip_test(wanted))
    assert "opaque" not in primary["differences"]


def test_snapshots_that_only_one_variant_has_are_no_pairs(tiny: Make) -> None:
    rows = [*shots("exact", [True, True]), *shots("no_masks", [False])]
    primary = summarise(tiny(secondary=[]), rows, [])["primary"]
    assert primary["differences"]["all"]["pairs"] == 1


def test_times_are_means_over_the_attempts_that_had_the_stage() -> None:
    times = [
        AttemptTimes("packed", 1900, 0, "exact", 1.0, 0.5, 0.1, None),
        AttemptTimes("packed", 1901, 0, "exact", 3.0, 0.5, 0.3, 0.4),
    ]
    means = {"sense_s": 2.0, "segment_s": 0.5, "plan_s": 0.2, "execute_s": 0.4}
    assert time_shares(times) == means


@pytest.mark.parametrize(("claim", "words"), [(99.0, "lies below"), (-40.0, "lies above")])
def test_the_claim_is_held_against_the_interval(tiny: Make, claim: float, words: str) -> None:
    rows = shots("exact", [True] * 6 + [False] * 4) + shots("no_masks", [False] * 10)
    primary = {"variant": "exact", "against": "no_masks", "test": "mcnemar", "claim_points": claim}
    config = tiny(primary=primary, secondary=[])
    assert words in verdict(config, summarise(config, rows, []))


def test_a_handful_of_pairs_that_differ_is_not_judged(tiny: Make) -> None:
    rows = shots("exact", [True] * 5 + [False] * 9) + shots("no_masks", [False] * 14)
    config = tiny(secondary=[])
    told = verdict(config, summarise(config, rows, []))
    assert told.endswith("Fewer than 6 pairs differ: too few to judge by.")


def test_rates_by_mask_iou_are_those_of_networks(tiny: Make) -> None:
    variants = [{"name": name, "model": "repsam_tiny"} for name in ("a", "b")]
    variants.append({"name": "exact", "model": "oracle"})
    config = tiny(variants=variants, primary=None, secondary=[])
    ious = (0.0, 0.1, 0.6, 0.9, 1.0)
    rows = [
        row(name, 1900 + k, "success" if iou >= 0.6 else "missed", mask_iou=iou)
        for name in ("a", "b", "exact")
        for k, iou in enumerate(ious)
    ]
    classes = summarise(config, rows, [])["by_mask_iou"]
    found = [(each["rates"]["all"]["count"], each["rates"]["all"]["total"]) for each in classes]
    assert found == [(0, 4), (0, 0), (2, 2), (0, 0), (0, 0), (4, 4)]
    assert classes[0]["rates"]["glass"]["total"] == 0
