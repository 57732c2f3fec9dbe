"""``ablation.md`` from the content of ``ablation.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from repsam_ros.adaptation.ablation.results import INPUTS
from repsam_ros.adaptation.ablation.score_matrices import UNIFORM
from repsam_ros.adaptation.image_scores import SHOWN_SCORES
from repsam_ros.errors import shortened
from repsam_ros.metrics.labels import TITLES
from repsam_ros.metrics.statistics import interval_text, p_clause, p_text, value_text
from repsam_ros.presentation.markdown import table

_CAPTIONS = {
    "differences": "Difference to `uniform` of the same budget and input, 95 % intervals.",
    "ranks": "Ranks that each arm gives the blocks, means over seeds.",
    "mechanism": "Where CKA is low and where adaptation acts.",
}
_METHOD = (
    "Differences are paired by seed and scene, in points. Intervals (95 %): Student's, with the "
    "standard error of a bootstrap that draws seeds and scenes independently. p: sign flips of the "
    "seeds' mean differences, for these test scenes; n seeds cannot go below 2 / 2^n. Holm: over "
    "the comparisons of this table. TOST: that the difference is not within {margin:g} points, "
    "over seeds. Random allocations: those that were drawn, as a mean."
)


def markdown(content: dict[str, Any], charts: Sequence[str]) -> str:
    """The page.

    Args:
        charts: Names of the PNG files beside it.
    """
    verdict = content["verdict"]
    images = {name: f"![{_CAPTIONS[name]}]({name}.png)" for name in charts}
    parts = [
        "# Does allocating ranks by CKA help?",
        *_verdict_lines(content),
        *_comparison_parts(verdict),
        "## Allocation and fusion apart",
        "{uniform, cka} x {RGB, RGB-D} on the seeds that all four have; not adjusted. All runs "
        "have the learning rate that was best for the primary comparison's input, so a part of "
        "what fusion brings may be that rate.",
        *_factorial_parts(verdict["factorials"]),
        "## All arms",
        "Percent, means over seeds and images with 95 % intervals, and differences to `uniform` of "
        "the same mean rank and input on common seeds. Not adjusted: to be read as a description. "
        "`random` is the mean of the random arms on the seeds that all of them have. The mean rank "
        "says nothing of `none` and `full_finetuning`, and is that of the one block of `block_N`; "
        "what each arm spends stands under *What was run*.",
        *_arm_parts(verdict["arms"]),
        *(images[name] for name in ("differences", "ranks") if name in images),
        "## CKA",
        *_cka_parts(content["about"].get("cka", {})),
        "## Mechanism",
        *_mechanism_parts(content["mechanism"]),
        *(images[name] for name in ("mechanism",) if name in images),
        "## What was run",
        *_run_parts(content),
    ]
    return "\n\n".join(parts)


def _verdict_lines(content: dict[str, Any]) -> list[str]:
    sentences = [f"- {each['sentence']}" for each in content["verdict"]["definitions"]]
    lines = ["\n".join(sentences) or "No arm that follows CKA was run: nothing is judged."]
    lines.append("This is about these networks, data and budgets, not about a paper as a whole.")
    if missing := content["missing"]:
        planned = len(content["about"]["planned"])
        lines.append(
            f"**Incomplete: {len(missing)} of {planned} planned runs are missing** "
            f"({shortened(missing)}); listed at the end."
        )
    return lines


def _comparison_parts(verdict: dict[str, Any]) -> list[str]:
    definitions, settings = verdict["definitions"], verdict["settings"]
    if not definitions:
        return []
    method = _METHOD.format(margin=settings["margin"])
    return ["## Primary comparisons", method, _comparison_table(definitions)]


def _comparison_table(definitions: list[dict[str, Any]]) -> str:
    heads = [
        "arm", "against", "seeds", "scenes", "difference", "95 % interval", "p", "p Holm",
        "p TOST", "seeds better/worse",
    ]  # fmt: skip
    rows = []
    for each in (each for definition in definitions for each in definition["comparisons"]):
        effect = each["effect"]
        if effect is None:
            rows.append([f"`{each['arm']}`", each["against"], f"not judged: {each['not_judged']}"])
            rows[-1] += ["-"] * (len(heads) - 3)
            continue
        signs = [sum(sign * d > 0 for d in effect["by_seed"]) for sign in (1, -1)]
        rows.append(
            [
                f"`{each['arm']}`",
                each["against"],
                *_effect_cells(effect),
                *(p_text(p) for p in (effect["p"], each["p_holm"], each["p_equivalence"])),
                f"{signs[0]}/{signs[1]}",
            ]
        )
    return table(heads, rows)


def _factorial_parts(factorials: list[dict[str, Any]]) -> list[str]:
    heads = ["data", "score", "effect", "seeds", "scenes", "points", "95 % interval", "p"]
    rows, reasons = [], []
    for each in factorials:
        begin = [each["dataset"], TITLES[each["metric"]]]
        for name, effect in each["effects"].items():
            rows.append([*begin, name, *_effect_cells(effect), p_text(effect["p"])])
        if each["not_judged"]:
            reasons.append(f"Not judged on {each['dataset']}: {each['not_judged']}.")
    return [*([table(heads, rows)] if rows else []), *reasons]


def _arm_parts(arms: list[dict[str, Any]]) -> list[str]:
    """Two tables a data set: scores, and differences to uniform."""
    parts = []
    for dataset in sorted({row["dataset"] for row in arms}):
        here = [row for row in arms if row["dataset"] == dataset]
        compared = [row | row["over_uniform"] for row in here if row["over_uniform"]]
        parts += [f"### {dataset}", _score_table(here, "mean", ".2f")]
        if compared:
            parts += ["Over `uniform`, points:", _score_table(compared, "difference", "+.2f")]
    return parts


def _score_table(rows: list[dict[str, Any]], key: str, form: str) -> str:
    """An arm a line, a score a column."""
    scores = [name for name in SHOWN_SCORES if any(row["metric"] == name for row in rows)]
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        seeds = row["seeds"] if isinstance(row["seeds"], int) else len(row["seeds"])
        run = (f"`{row['arm']}`", str(row["mean_rank"]), INPUTS[row["fusion"]], str(seeds))
        cells.setdefault(run, {})[row["metric"]] = value_text(row[key], row["ci95"], form)
    heads = ["arm", "mean rank", "input", "seeds", *(TITLES[name] for name in scores)]
    return table(heads, [[*run, *(found[s] for s in scores)] for run, found in cells.items()])


def _cka_parts(reports: dict[str, Any]) -> list[str]:
    """Values of all comparisons and both row definitions, a block a line."""
    columns = {
        f"{comparison}, {rows} (n = {found['n']:,})": [
            value_text(value, ci95, ".3f")
            for value, ci95 in zip(found["cka"], found["ci95"], strict=True)
        ]
        for comparison, report in reports.items()
        for rows, found in report.items()
    }
    if not columns:
        return ["No arm needed it."]
    lines = enumerate(zip(*columns.values(), strict=True))
    intro = "Debiased estimates with 95 % intervals by bootstrap over scenes."
    return [intro, table(["block", *columns], [[str(block), *line] for block, line in lines])]


def _mechanism_parts(mechanism: dict[str, Any] | None) -> list[str]:
    if mechanism is None:
        return ["Not measured."]
    names = {
        "update_norms": "relative change by full fine-tuning",
        "single_block_gains": "points gained by adapting the block alone",
    }
    found = {title: mechanism[name] for name, title in names.items()}
    lines = [
        f"- 1 - CKA and {title}: "
        + ("not measured" if each is None else f"rho = {each['rho']:+.2f}, {p_clause(each['p'])}")
        for title, each in found.items()
    ]
    columns = {"1 - CKA": mechanism["one_minus_cka"]}
    columns |= {title: each["values"] for title, each in found.items() if each}
    rows = [
        [str(block), *(f"{value:.4f}" for value in row)]
        for block, row in enumerate(zip(*columns.values(), strict=True))
    ]
    intro = f"Spearman's rho over {len(rows)} blocks with its permutation p."
    return [intro, "\n".join(lines), table(["block", *columns], rows)]


def _run_parts(content: dict[str, Any]) -> list[str]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for run in content["runs"]:
        key = (not run["fusion"], run["mean_rank"], run["arm"] != UNIFORM, run["arm"])
        groups.setdefault(key, []).append(run)
    heads = [
        "arm", "mean rank", "input", "seeds", "steps", "adapter parameters", "trainable",
        "minutes a run",
    ]  # fmt: skip
    rows = [
        [
            f"`{arm}`",
            str(rank),
            INPUTS[not is_rgb],
            ", ".join(str(seed) for seed in sorted(run["seed"] for run in runs)),
            *(_range(runs, name) for name in ("steps", "adapter_params", "trainable_params")),
            f"{sum(run['seconds'] for run in runs) / len(runs) / 60:.1f}",
        ]
        for (is_rgb, rank, _, arm), runs in sorted(groups.items())
    ]
    hours = sum(run["seconds"] for run in content["runs"]) / 3600
    elsewhere = ("planned", "cka", "same_ranks")
    about = {name: value for name, value in content["about"].items() if name not in elsewhere}
    parts = [
        f"{len(content['runs'])} runs, {hours:.1f} hours of computing together, repsam_ros "
        f"{content['version']}.",
        table(heads, rows),
    ]
    if same := content["about"].get("same_ranks"):
        arms = sorted(
            {f"`{a.rpartition('-s')[0]}` as `{b.rpartition('-s')[0]}`" for a, b in same.items()}
        )
        parts.append(f"Arms that came to the same ranks share their runs: {', '.join(arms)}.")
    for name in ("missing", "unplanned"):
        if keys := content[name]:
            parts.append(f"{name.capitalize()}: {', '.join(f'`{key}`' for key in keys)}.")
    shown = yaml.safe_dump(about, sort_keys=False, allow_unicode=True).rstrip()
    return [*parts, f"```yaml\n{shown}\n```"] if about else parts


def _range(runs: list[dict[str, Any]], name: str) -> str:
    values = sorted({run[name] for run in runs})
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"


def _effect_cells(effect: dict[str, Any]) -> list[str]:
    counts = [str(len(effect["seeds"])), str(effect["scenes"])]
    return [*counts, f"{effect['difference']:+.2f}", interval_text(effect["ci95"], "+.2f")]
