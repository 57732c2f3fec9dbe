"""``crossval.md`` from the content of ``crossval.json``."""

from __future__ import annotations

import json
from typing import Any

from repsam_ros.adaptation.crossval.config import FULL, ZERO_SHOT
from repsam_ros.adaptation.crossval.results import HELD_OUT, SIMULATED
from repsam_ros.adaptation.image_scores import SHOWN_SCORES
from repsam_ros.errors import shortened
from repsam_ros.metrics.labels import TITLES
from repsam_ros.metrics.statistics import interval_text, p_text, value_text
from repsam_ros.presentation.markdown import table

_INPUTS = {"rgbd": "RGB-D", "rgb": "RGB", "depth": "depth"}
_AGAINST = {
    ZERO_SHOT: "the base as it is, on the same input",
    FULL: "full fine-tuning",
}


def page(content: dict[str, Any]) -> str:
    """The page."""
    config, datasets = content["about"]["config"], content["datasets"]
    titles = {HELD_OUT: f"{config['data']['name']}, cross-validated", SIMULATED: "simulated"}
    parts = [
        f"# What labelled frames of {config['data']['name']} bring",
        _method(content),
        *_missing(content),
        "## Results",
        f"{TITLES[config['metric']]} in percent with 95 % intervals, and the share of the score of "
        "full fine-tuning that is reached.",
        _results(content, titles),
    ]
    for name, dataset in datasets.items():
        parts += [f"## {titles[name]}", _scores(content, dataset)]
        for kind, against in _AGAINST.items():
            if rows := [row for row in dataset["differences"] if row["kind"] == kind]:
                parts += [
                    f"Points of {TITLES[config['metric']]} over {against}, paired by image:",
                    _differences(rows, config["metric"]),
                ]
    return "\n\n".join([*parts, "## What was run", *_runs(content)])


def _method(content: dict[str, Any]) -> str:
    config, sizes = content["about"]["config"], [len(fold) for fold in content["about"]["folds"]]
    held_out = content["datasets"][HELD_OUT]
    units = "images" if held_out["scenes"] is None else f"{held_out['scenes']} scenes"
    parts = [
        f"Each network starts from `{config['base']}`, is trained for {config['train']['steps']} "
        f"steps of {config['train']['batch_size']} pictures on all folds but one and scored on the "
        f"frames of that one: {sum(sizes)} frames in {len(sizes)} folds, "
        f"{config['seeds']} training(s) a fold. No network was trained on a frame that it is "
        "scored on. An arm without depth sees none, in training and in scoring.",
        f"Intervals: bootstrap over {units}; p: sign flips of these, Holm over the arms of a "
        "table. Scores of an image are means over the networks that score it, so that intervals "
        "and p are about frames, not about further trainings.",
    ]
    if content["about"]["tuning"]:
        parts.append(
            "Learning rates of several are chosen for each fold apart, by networks that were "
            "trained without that fold and without another one, on the frames of the other one."
        )
    return "\n\n".join(parts)


def _missing(content: dict[str, Any]) -> list[str]:
    missing = content["about"]["missing"]
    if not missing:
        return []
    return [f"**{len(missing)} networks diverged and are missing** ({shortened(missing)})."]


def _results(content: dict[str, Any], titles: dict[str, str]) -> str:
    metric, datasets = content["about"]["config"]["metric"], content["datasets"]
    shares = [f"share, {titles[name]}" for name in datasets]
    heads = ["arm", "method", "sees", "trained parameters", *(titles[n] for n in datasets), *shares]
    rows = []
    for arm in content["arms"]:
        found = [dataset["arms"].get(arm["name"]) for dataset in datasets.values()]
        rows.append(
            [
                f"`{arm['name']}`",
                f"`{arm['method']}`",
                _INPUTS[arm["see"]],
                _counts(arm["trainable_params"]),
                *(_score(each, metric) for each in found),
                *(_share(each, metric) for each in found),
            ]
        )
    return table(heads, rows)


def _scores(content: dict[str, Any], dataset: dict[str, Any]) -> str:
    of = "" if dataset["scenes"] is None else f" of {dataset['scenes']} scenes"
    heads = ["arm", "trained parameters", *(TITLES[name] for name in SHOWN_SCORES)]
    rows = [
        [
            f"`{arm['name']}`",
            _counts(arm["trainable_params"]),
            *(_score(dataset["arms"].get(arm["name"]), name) for name in SHOWN_SCORES),
        ]
        for arm in content["arms"]
    ]
    return f"{dataset['images']} images{of}.\n\n{table(heads, rows)}"


def _differences(rows: list[dict[str, Any]], metric: str) -> str:
    heads = ["arm", "over", "points", "95 % interval", "p", "p Holm"]
    return table(
        heads,
        [
            [
                f"`{row['arm']}`",
                f"`{row['against']}`",
                f"{row['difference'][metric]:+.2f}",
                interval_text(row["ci95"][metric], "+.2f"),
                *(p_text(row[name][metric]) for name in ("p", "p_holm")),
            ]
            for row in rows
        ],
    )


def _runs(content: dict[str, Any]) -> list[str]:
    about = content["about"]
    options = {arm["name"]: arm["options"] for arm in about["config"]["arms"]}
    heads = ["arm", "options", "ranks", "networks", "minutes each", "learning rate by fold"]
    rows = [
        [
            f"`{arm['name']}`",
            f"`{json.dumps(options[arm['name']])}`",
            "; ".join(" ".join(map(str, ranks)) for ranks in arm["ranks"] if ranks) or "-",
            str(arm["networks"]),
            "-" if arm["seconds"] is None else f"{arm['seconds'] / 60:.1f}",
            ", ".join(f"{rate:g}" for rate in arm["learning_rates"].values()) or "-",
        ]
        for arm in content["arms"]
    ]
    base = f"`{about['config']['base']}`, sha256 `{about['base_sha256']}`"
    made = f"repsam_ros {content['version']}, PyTorch {about['torch']}, {about['device']}"
    return [
        table(heads, rows),
        f"Base: {base}. Made by {made}. `crossval.json` holds the whole configuration, the folds, "
        "the scores of each learning rate and of each image.",
    ]


def _score(arm: dict[str, Any] | None, metric: str) -> str:
    if arm is None:
        return "-"
    return value_text(arm["mean"][metric], arm["ci95"][metric], ".2f")


def _share(arm: dict[str, Any] | None, metric: str) -> str:
    if arm is None or arm["share_of_full"] is None or arm["share_of_full"][metric] is None:
        return "-"
    return f"{arm['share_of_full'][metric]:.1f} %"


def _counts(counts: list[int]) -> str:
    return " to ".join(f"{count:,}" for count in counts[:1] + counts[1:][-1:]) or "-"
