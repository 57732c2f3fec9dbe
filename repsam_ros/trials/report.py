"""``report.html`` and ``report.md``, from the tables of attempts and times alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from repsam_ros.config import to_plain
from repsam_ros.metrics.statistics import p_text, value_text
from repsam_ros.paths import write_text
from repsam_ros.presentation.stacked_bars import COLORS, stacked_bars
from repsam_ros.trials.configuration import CLUTTER, EXACT, ORACLE, SENSOR, TrialsConfig
from repsam_ros.trials.examples import choose_examples
from repsam_ros.trials.execution import Outcome
from repsam_ros.trials.page import Page
from repsam_ros.trials.protocol import GLASS, OPAQUE
from repsam_ros.trials.rows import AttemptRow, AttemptTimes, read_rows
from repsam_ros.trials.statistics import ALL, STAGES, summarise
from repsam_ros.trials.verdict import TEST_TITLES, verdict

_TITLES = {ALL: "all", OPAQUE: "opaque target", GLASS: "glass target"}
_STAGE_TITLES = {stage: stage.removesuffix("_s") for stage in STAGES}
# From what is nearest to a success to what is farthest from it.
_ENDS = (
    Outcome.SUCCESS,
    Outcome.SLIPPED,
    Outcome.MISSED,
    Outcome.WRONG_OBJECT,
    Outcome.APPROACH_COLLISION,
    Outcome.PREGRASP_COLLISION,
    Outcome.HIT_TABLE,
    Outcome.NO_GRASP,
    Outcome.NOT_DETECTED,
)


def write_report(config: TrialsConfig, out: Path) -> str:
    """Writes the report beside ``attempts.csv`` and ``times.csv``, and ``trials.json``.

    Returns:
        The verdict.

    Raises:
        DatasetError: A table is missing or broken.
    """
    rows = read_rows(out / "attempts.csv", AttemptRow)
    times = read_rows(out / "times.csv", AttemptTimes)
    content = summarise(config, rows, times)
    page = Page()
    told = _tell_verdict(page, config, content)
    _tell_rates(page, config, content)
    _tell_rates_by_iou(page, config, content)
    _tell_failures(page, content, out)
    _tell_contrasts(page, config, content)
    write_text(out / "times.svg", _time_bars(content["times"]))
    _tell_times(page, config, content)
    _tell_examples(page, config, out, rows)
    _tell_method(page, config)
    write_text(out / "trials.json", json.dumps({"config": to_plain(config), **content}, indent=1))
    html, markdown = page.whole(_title(config))
    write_text(out / "report.md", markdown)
    write_text(out / "report.html", html)
    return told


def _title(config: TrialsConfig) -> str:
    kind = "clutter removal" if config.protocol == CLUTTER else "single shots"
    return f"Simulated grasp trials: {kind}"


def _tell_verdict(page: Page, config: TrialsConfig, content: Mapping[str, Any]) -> str:
    told = verdict(config, content)
    page.paragraph(told, strong=True)
    planned = config.scenes * len(config.strata)
    if content["scenes"] < planned:
        page.paragraph(
            f"Incomplete: {content['scenes']:,} of {planned:,} planned scenes are there.",
            strong=True,
        )
    seeds = "held out" if config.is_held_out else "tuning seeds: no result to report"
    page.paragraph(
        f"{content['scenes']:,} simulated scenes ({seeds}), {content['attempts']:,} attempts, "
        f"pictures by the {config.renderer} renderer. Everything here is simulated: objects, "
        "camera, depth noise and physics. It says nothing about a real robot by itself, and "
        "rates cannot be compared with those of other simulators."
    )
    return told


def _tell_rates(page: Page, config: TrialsConfig, content: Mapping[str, Any]) -> None:
    rates = content["rates"]
    if config.protocol == CLUTTER:
        page.heading("Simulated declutter rate")
        page.paragraph(
            "Mean share of a round's objects that were taken away, percent; 95 % intervals by a "
            "bootstrap over rounds, by Wilson where all rounds took away everything or nothing."
        )
        _rate_table(page, config, content["declutter"])
    page.heading("Simulated success rate")
    page.paragraph(
        "Percent of attempts with the target lifted at least 10 cm and held for 1 s"
        + (
            ", of those in which a grasp was executed; 95 % intervals by a bootstrap over rounds."
            if config.protocol == CLUTTER
            else "; 95 % intervals by Wilson."
        )
        + _about_controls(config)
    )
    strata = [name for name in (ALL, *config.strata) if name in rates]
    _rate_table(page, config, {name: rates[name] for name in strata})
    materials = [name for name in (OPAQUE, GLASS) if name in rates]
    if materials and config.protocol != CLUTTER:
        page.heading("Simulated success rate by the target's material")
        columns = {name: rates[name] for name in materials}
        _rate_table(page, config, columns, content["perception"])


def _about_controls(config: TrialsConfig) -> str:
    """What true masks say of the others, where some are there."""
    told = ""
    oracles = [variant for variant in config.variants if variant.model == ORACLE]
    if any(variant.depth == EXACT for variant in oracles):
        told += " True masks with exact depth: what the planner makes of a perfect picture."
    if any(variant.depth == SENSOR for variant in oracles):
        told += (
            " True masks with the sensor's depth are no upper bound: along their edges that depth "
            "may be of what lies behind."
        )
    return told


def _tell_rates_by_iou(page: Page, config: TrialsConfig, content: Mapping[str, Any]) -> None:
    classes = content.get("by_mask_iou", [])
    if not any(each["rates"][ALL]["total"] for each in classes):
        return
    page.heading("Simulated success rate by the IoU of the target's mask")
    page.paragraph(
        "All variants with a network together, percent; intervals by a bootstrap over scenes, by "
        "Wilson over scenes where each has one attempt or all attempts ended alike. "
        f"With a mask below {config.min_iou:g} nothing is picked. "
        "Better masks come with easier targets, so this is no effect of masks alone."
    )
    groups = [name for name in (ALL, OPAQUE, GLASS) if name in content["rates"]]
    rows = [
        [
            f"{each['from']:g} to {each['to']:g}",
            *(_rate(each["rates"][group], counted=True) for group in groups),
        ]
        for each in classes
    ]
    page.table(["mask IoU", *(_TITLES[group] for group in groups)], rows)


def _rate_table(
    page: Page,
    config: TrialsConfig,
    columns: Mapping[str, Mapping[str, Any]],
    perception: Mapping[str, Any] | None = None,
) -> None:
    """A variant a line, a group of attempts a column."""
    heads = ["variant", *(_TITLES.get(group, group.replace("_", " ")) for group in columns)]
    counts = [{rate["total"] for rate in found.values()} for found in columns.values()]
    is_paired = all(len(of) == 1 for of in counts)
    rows = [["n", *(str(max(of)) for of in counts)]] if is_paired else []
    for variant in config.variants:
        cells = [_rate(found[variant.name], counted=not is_paired) for found in columns.values()]
        rows.append([variant.name, *cells])
    if perception:
        heads += ["mask IoU", "detected"]
        for row in rows:
            values = perception.get(row[0], {}).values()
            row += ["-" if value is None else f"{value:.1f}" for value in values] or ["", ""]
    page.table(heads, rows)


def _rate(rate: Mapping[str, Any], *, counted: bool) -> str:
    if rate["percent"] is None:
        return "-"
    low, high = rate["ci95"]
    count = f", n = {rate['total']}" if counted else ""
    return f"{rate['percent']:.1f} ({low:.0f} to {high:.0f}){count}"


def _write_failure_bars(content: Mapping[str, Any], out: Path) -> dict[str, str]:
    """Files and captions: all attempts, then those at opaque and at glass targets."""
    names = [outcome.value.replace("_", " ") for outcome in _ENDS]
    parts = dict(zip(names, COLORS, strict=True))
    files = {}
    for group in (ALL, OPAQUE, GLASS):
        if group not in content["outcomes"]:
            continue
        outcomes = content["outcomes"][group]
        rows = {
            variant: {name: float(found.get(name.replace(" ", "_"), 0)) for name in names}
            for variant, found in outcomes.items()
        }
        ends = {variant: f"n = {sum(found.values())}" for variant, found in outcomes.items()}
        file = f"failures_{group}.svg"
        write_text(out / file, stacked_bars(parts, rows, ends))
        files[file] = f"Simulated outcomes, {_TITLES[group]}"
    return files


def _tell_failures(page: Page, content: Mapping[str, Any], out: Path) -> None:
    page.heading("Simulated outcomes: where attempts end")
    page.images(_write_failure_bars(content, out))
    names = [outcome.value for outcome in _ENDS]
    rows = [
        [variant, *(str(found.get(name, 0)) for name in names)]
        for variant, found in content["outcomes"][ALL].items()
    ]
    page.table(["all attempts", *(name.replace("_", " ") for name in names)], rows)


def _tell_contrasts(page: Page, config: TrialsConfig, content: Mapping[str, Any]) -> None:
    primary = [content["primary"]] if content["primary"] else []
    if not primary and not content["secondary"]:
        return
    page.heading("Simulated differences, paired")
    page.paragraph(
        "Points, with 95 % intervals of a paired bootstrap over scenes. p: "
        f"{TEST_TITLES[config.test]}, on all strata; Holm: over the secondary comparisons. "
        + ("The primary comparison and its test were fixed in the configuration. " * len(primary))
        + "What is told of a stratum or a material is a description, no test. Only one: pairs in "
        "which only the first or only the second did better."
    )
    compared = [*(("primary", each) for each in primary)]
    compared += [("secondary", each) for each in content["secondary"]]
    shown = [name for name in (ALL, OPAQUE, GLASS) if name in compared[0][1]["differences"]]
    heads = ["comparison", "kind", *(_TITLES[name] for name in shown), "p", "p Holm", "only one"]
    page.table(
        heads,
        [
            [
                f"{each['variant']} - {each['against']}",
                kind,
                *(_points(each["differences"][name]) for name in shown),
                p_text(each["p"]),
                "-" if kind == "primary" else p_text(each["p_holm"]),
                f"{each['only_variant']} / {each['only_against']}",
            ]
            for kind, each in compared
        ],
    )
    if len(config.strata) > 1:
        names = [f"{each['variant']} - {each['against']}" for _, each in compared]
        rows = [
            [stratum, *(_points(each["differences"].get(stratum)) for _, each in compared)]
            for stratum in config.strata
        ]
        page.table(["stratum", *names], rows)


def _points(difference: Mapping[str, Any] | None) -> str:
    if difference is None or difference["points"] is None:
        return "-"
    return value_text(difference["points"], difference["ci95"], "+.1f")


def _time_bars(times: Mapping[str, Mapping[str, float | None]]) -> str:
    parts = {_STAGE_TITLES[stage]: COLORS[k + 2] for k, stage in enumerate(STAGES)}
    rows = {
        variant: {_STAGE_TITLES[stage]: means[stage] or 0.0 for stage in STAGES}
        for variant, means in times.items()
    }
    ends = {variant: f"{sum(sizes.values()):.2f} s" for variant, sizes in rows.items()}
    return stacked_bars(parts, rows, ends)


def _tell_times(page: Page, config: TrialsConfig, content: Mapping[str, Any]) -> None:
    page.heading("Where the time of simulated attempts goes")
    shared = "A picture serves all variants of a snapshot and counts for each; "
    page.paragraph(
        "Mean seconds of an attempt on the machine and with the load of this run, one thread a "
        "process: no benchmark, unless it was idle. "
        + ("" if config.protocol == CLUTTER else shared)
        + "execute is the physics, where there was a grasp. The last columns are attempts of one "
        "process."
    )
    page.images({"times.svg": "Share of each stage in the mean attempt"})
    heads = ["variant", *(f"{_STAGE_TITLES[stage]}, s" for stage in STAGES)]
    heads += ["physics alone, a minute", "all stages, a minute"]
    rows = []
    for name, means in content["times"].items():
        physics, whole = means["execute_s"], sum(seconds or 0.0 for seconds in means.values())
        rates = ("-" if not seconds else f"{60 / seconds:.0f}" for seconds in (physics, whole))
        rows.append([name, *("-" if s is None else f"{s:.3f}" for s in means.values()), *rates])
    page.table(heads, rows)


def _tell_examples(page: Page, config: TrialsConfig, out: Path, rows: Sequence[AttemptRow]) -> None:
    chosen = {e.file: e.caption for e in choose_examples(config, rows) if (out / e.file).is_file()}
    if not chosen:
        return
    page.heading("Typical simulated successes and failures")
    page.paragraph(
        "Not picked by looks: each is the middle one, in the order of the table, of its kind. "
        "Left: what the variant saw, its instances and the grasp; right: the attempt."
    )
    page.images(chosen, beside=True)


def _tell_method(page: Page, config: TrialsConfig) -> None:
    page.heading("What was run")
    rows = [
        [v.name, v.model, v.see if v.has_network else "-", v.depth, v.planner]
        for v in config.variants
    ]
    page.table(["variant", "model", "sees", "depth", "planner"], rows)
    rows = [
        [
            name,
            *(str(config.seeds(name)[k]) for k in (0, -1)),
            stratum.scene.kind,
            stratum.scene.materials,
            " to ".join(map(str, stratum.scene.objects)),
        ]
        for name, stratum in config.strata.items()
    ]
    page.table(["stratum", "first seed", "last seed", "scenes", "materials", "objects"], rows)
    page.paragraph(
        f"Objects: sha256 {config.objects_sha256}. The whole configuration with the hashes of "
        "all weights is in config.yaml, every attempt in attempts.csv, every number of this page "
        "in trials.json."
    )
