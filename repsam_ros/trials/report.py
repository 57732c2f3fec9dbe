"""``report.html`` and ``report.md``, from the tables of attempts and times alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from repsam_ros.adaptation.ablation.markdown import table as markdown_table
from repsam_ros.config import to_plain
from repsam_ros.evaluation.page import make_page, text
from repsam_ros.evaluation.page import table as html_table
from repsam_ros.paths import atomic_path
from repsam_ros.trials.configuration import CLUTTER, TrialsConfig
from repsam_ros.trials.examples import choose_examples
from repsam_ros.trials.execution import Outcome
from repsam_ros.trials.protocol import GLASS, OPAQUE
from repsam_ros.trials.rows import AttemptRow, AttemptTimes, read_rows
from repsam_ros.trials.stacked_bars import COLORS, stacked_bars
from repsam_ros.trials.statistics import ALL, STAGES, summarise

_TITLES = {ALL: "all", OPAQUE: "opaque target", GLASS: "glass target"}
_STAGE_TITLES = {"sense_s": "sense", "segment_s": "segment", "plan_s": "plan", "execute_s": "lift"}


class _Page:
    """HTML and Markdown of the same parts."""

    def __init__(self) -> None:
        self.html: list[str] = []
        self.markdown: list[str] = []

    def heading(self, words: str) -> None:
        self.html.append(f"<h2>{text(words)}</h2>")
        self.markdown.append(f"## {words}")

    def paragraph(self, words: str, strong: bool = False) -> None:
        inside = f"<strong>{text(words)}</strong>" if strong else text(words)
        self.html.append(f"<p>{inside}</p>")
        self.markdown.append(f"**{words}**" if strong else words)

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        cells = [[text(cell) for cell in row] for row in rows]
        self.html.append(f'<div class="scroll">{html_table(heads, cells)}</div>')
        self.markdown.append(markdown_table(heads, rows))

    def images(self, files: Mapping[str, str]) -> None:
        """Files relative to the page, each with its caption."""
        figures = "".join(
            f'<figure><img src="{text(file)}" alt="{text(words)}" loading="lazy">'
            f"<figcaption>{text(words)}</figcaption></figure>"
            for file, words in files.items()
        )
        self.html.append(f'<div class="wide">{figures}</div>')
        self.markdown += [f"![{words}]({file})\n\n{words}" for file, words in files.items()]


def write_report(config: TrialsConfig, out: Path) -> str:
    """Writes the report beside ``attempts.csv`` and ``times.csv``, and ``trials.json``.

    Returns:
        The verdict, or where nothing is compared the success rates, for a terminal.

    Raises:
        DatasetError: A table is missing or broken.
    """
    rows = read_rows(out / "attempts.csv", AttemptRow)
    times = read_rows(out / "times.csv", AttemptTimes)
    content = summarise(config, rows, times)
    page, title = _Page(), _title(config)
    told = _tell_verdict(page, config, content)
    _tell_rates(page, config, content)
    _write(out / "failures.svg", _failure_bars(content["outcomes"][ALL]))
    _tell_failures(page, content)
    _tell_contrasts(page, config, content)
    _write(out / "times.svg", _time_bars(content["times"]))
    _tell_times(page, content)
    _tell_examples(page, config, out, rows)
    _tell_method(page, config)
    _write(out / "trials.json", json.dumps({"config": to_plain(config), **content}, indent=1))
    _write(out / "report.md", "\n\n".join([f"# {title}", *page.markdown]) + "\n")
    _write(out / "report.html", make_page(title, page.html))
    return told


def _title(config: TrialsConfig) -> str:
    kind = "clutter removal" if config.protocol == CLUTTER else "single shots"
    return f"Simulated grasp trials: {kind}"


def verdict(config: TrialsConfig, content: Mapping[str, Any]) -> str:
    """What came of the primary comparison, in a sentence."""
    primary = content["primary"]
    if primary is None:
        return "Simulated. No primary comparison was fixed for these trials."
    found = primary["differences"][ALL]
    if not found["pairs"]:
        return "Simulated. The primary comparison has no pairs."
    low, high = found["ci95"]
    unit = "rounds" if config.protocol == CLUTTER else "snapshots"
    what = "of the objects away" if config.protocol == CLUTTER else "of the targets"
    claim = config.claim_points
    place = "above" if low > claim else "below" if high < claim else "within"
    where = {
        "within": f"the {claim:+.1f} points that are claimed lie within the interval",
        "below": f"the whole interval lies below the {claim:+.1f} points that are claimed",
        "above": f"the whole interval lies above the {claim:+.1f} points that are claimed",
    }[place]
    test = "sign flips" if config.protocol == CLUTTER else "McNemar"
    more = "more" if found["points"] >= 0 else "fewer"
    sign = "differ" if primary["p"] < 0.05 else "are not shown to differ"
    return (
        f"Simulated, {found['pairs']} {unit}: {primary['variant']} takes {abs(found['points']):.1f}"
        f" points {more} {what} than {primary['against']} (95 % interval {low:+.1f} to {high:+.1f};"
        f" {test} p = {p_text(primary['p'])}): the two {sign}, and {where}."
    )


def p_text(p: float) -> str:
    """A p value for people."""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _tell_verdict(page: _Page, config: TrialsConfig, content: Mapping[str, Any]) -> str:
    told = verdict(config, content)
    page.paragraph(told, strong=True)
    seeds = "held out" if config.is_held_out else "tuning seeds: no result to report"
    page.paragraph(
        f"{content['scenes']} simulated scenes ({seeds}), {content['attempts']} attempts, "
        f"pictures by the {config.renderer} renderer. Everything here is simulated: objects, "
        "camera, depth noise and physics. It says nothing about a real robot by itself, and "
        "rates cannot be compared with those of other simulators."
    )
    return told


def _tell_rates(page: _Page, config: TrialsConfig, content: Mapping[str, Any]) -> None:
    rates = content["rates"]
    if config.protocol == CLUTTER:
        page.heading("Simulated declutter rate")
        page.paragraph("Mean share of a round's objects that were taken away, percent.")
        _rate_table(page, config, content["declutter"], "rounds")
    page.heading("Simulated success rate")
    page.paragraph(
        "Percent of attempts with the target lifted at least 10 cm and held for 1 s"
        + (
            ", of those in which a grasp was executed; 95 % intervals by a bootstrap over rounds."
            if config.protocol == CLUTTER
            else "; 95 % intervals by Wilson. Random and top-down planners and true masks bound "
            "what a segmenter can bring."
        )
    )
    strata = [name for name in (ALL, *config.strata) if name in rates]
    _rate_table(page, config, {name: rates[name] for name in strata}, "total")
    materials = [name for name in (OPAQUE, GLASS) if name in rates]
    if materials and config.protocol != CLUTTER:
        page.heading("Simulated success rate by the target's material")
        columns = {name: rates[name] for name in materials}
        _rate_table(page, config, columns, "total", content["perception"])


def _rate_table(
    page: _Page,
    config: TrialsConfig,
    columns: Mapping[str, Mapping[str, Any]],
    count: str,
    perception: Mapping[str, Any] | None = None,
) -> None:
    """A variant a line, a group of attempts a column."""
    heads = ["variant", *(_TITLES.get(name, name) for name in columns)]
    heads += ["mask IoU", "detected"] if perception else []
    rows = []
    for variant in config.variants:
        cells = [_rate(found[variant.name], count) for found in columns.values()]
        if perception:
            values = (perception[variant.name][key] for key in ("mask_iou", "detected"))
            cells += ["-" if value is None else f"{value:.1f}" for value in values]
        rows.append([variant.name, *cells])
    page.table(heads, rows)


def _rate(rate: Mapping[str, Any], count: str) -> str:
    if rate["percent"] is None:
        return "-"
    low, high = rate["ci95"]
    return f"{rate['percent']:.1f} ({low:.1f} to {high:.1f}), n = {rate[count]}"


def _failure_bars(outcomes: Mapping[str, Mapping[str, int]]) -> str:
    names = [outcome.value for outcome in Outcome]
    parts = {name.replace("_", " "): COLORS[k % len(COLORS)] for k, name in enumerate(names)}
    rows = {
        variant: {name.replace("_", " "): float(found.get(name, 0)) for name in names}
        for variant, found in outcomes.items()
    }
    ends = {variant: f"n = {sum(found.values())}" for variant, found in outcomes.items()}
    return stacked_bars(parts, rows, ends)


def _tell_failures(page: _Page, content: Mapping[str, Any]) -> None:
    page.heading("Simulated outcomes: where attempts end")
    page.images({"failures.svg": "Share of each outcome, all strata"})
    groups = [name for name in content["outcomes"] if name != ALL]
    names = [outcome.value for outcome in Outcome]
    rows = []
    for group in groups:
        for variant, found in content["outcomes"][group].items():
            counts = [str(found.get(name, 0)) for name in names]
            rows.append([f"{_TITLES.get(group, group)}, {variant}", *counts])
    page.table(["attempts", *(name.replace("_", " ") for name in names)], rows)


def _tell_contrasts(page: _Page, config: TrialsConfig, content: Mapping[str, Any]) -> None:
    primary = [content["primary"]] if content["primary"] else []
    if not primary and not content["secondary"]:
        return
    page.heading("Simulated differences, paired")
    clutter = config.protocol == CLUTTER
    test = "sign flips of rounds" if clutter else "exact McNemar test"
    page.paragraph(
        f"Points, with 95 % intervals of a paired bootstrap over scenes. p: {test}, on all "
        "strata; Holm: over the secondary comparisons. The primary comparison and its test were "
        "fixed in the configuration. Columns of strata and materials are descriptions, not tests."
    )
    groups = list((primary + content["secondary"])[0]["differences"])
    heads = ["comparison", *(_TITLES.get(name, name) for name in groups)]
    heads += ["p", "p Holm", "only one"]
    rows = []
    for kind, found in (("primary", primary), ("secondary", content["secondary"])):
        for each in found:
            rows.append(
                [
                    f"{each['variant']} - {each['against']} ({kind})",
                    *(_points(each["differences"][name]) for name in groups),
                    p_text(each["p"]),
                    "-" if kind == "primary" else p_text(each["p_holm"]),
                    f"{each['only_variant']} / {each['only_against']}",
                ]
            )
    page.table(heads, rows)


def _points(difference: Mapping[str, Any]) -> str:
    if difference["points"] is None:
        return "-"
    low, high = difference["ci95"]
    return f"{difference['points']:+.1f} ({low:+.1f} to {high:+.1f})"


def _time_bars(times: Mapping[str, Mapping[str, float | None]]) -> str:
    parts = {_STAGE_TITLES[stage]: COLORS[k + 2] for k, stage in enumerate(STAGES)}
    rows = {
        variant: {_STAGE_TITLES[stage]: means[stage] or 0.0 for stage in STAGES}
        for variant, means in times.items()
    }
    ends = {variant: f"{sum(sizes.values()):.2f} s" for variant, sizes in rows.items()}
    return stacked_bars(parts, rows, ends)


def _tell_times(page: _Page, content: Mapping[str, Any]) -> None:
    page.heading("Where the time of simulated attempts goes")
    page.paragraph(
        "Mean seconds of an attempt on the machine and with the load of this run, one thread a "
        "process: shares, no benchmark. A picture serves all variants of an attempt and counts "
        "for each; lift is the physics, where there was a grasp."
    )
    page.images({"times.svg": "Share of each stage in the mean attempt"})
    heads = ["variant", *(f"{_STAGE_TITLES[stage]}, s" for stage in STAGES)]
    rows = [
        [name, *("-" if means[s] is None else f"{means[s]:.3f}" for s in STAGES)]
        for name, means in content["times"].items()
    ]
    page.table(heads, rows)


def _tell_examples(
    page: _Page, config: TrialsConfig, out: Path, rows: Sequence[AttemptRow]
) -> None:
    chosen = {e.file: e.caption for e in choose_examples(config, rows) if (out / e.file).is_file()}
    if not chosen:
        return
    page.heading("Typical simulated successes and failures")
    page.paragraph(
        "Not picked by looks: each is the middle one, in the order of the table, of its kind. "
        "Left: what the variant saw, its instances and the grasp; right: the attempt."
    )
    page.images(chosen)


def _tell_method(page: _Page, config: TrialsConfig) -> None:
    page.heading("What was run")
    rows = [
        [v.name, v.model, v.see if v.has_network else "-", v.depth, v.planner]
        for v in config.variants
    ]
    page.table(["variant", "model", "sees", "depth", "planner"], rows)
    rows = [
        [name, str(config.seeds(name)[0]), str(config.seeds(name)[-1]), str(stratum.scene)]
        for name, stratum in config.strata.items()
    ]
    page.table(["stratum", "first seed", "last seed", "scenes"], rows)
    page.paragraph(
        f"Objects: sha256 {config.objects_sha256}. The whole configuration with the hashes of "
        "all weights is in config.yaml, every attempt in attempts.csv, every number of this page "
        "in trials.json."
    )


def _write(path: Path, words: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(words, encoding="utf-8")
