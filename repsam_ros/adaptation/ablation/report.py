"""The report of an ablation: ``ablation.json``, ``ablation.md`` and charts.

Runs that were planned and are not there are named, at the top and in full at the end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from repsam_ros import __version__
from repsam_ros.adaptation.ablation.markdown import markdown
from repsam_ros.adaptation.ablation.mechanism import Mechanism
from repsam_ros.adaptation.ablation.plots import draw_plots
from repsam_ros.adaptation.ablation.results import RunResult
from repsam_ros.adaptation.ablation.verdict import Verdict
from repsam_ros.images import write_png
from repsam_ros.paths import atomic_path, write_text

_DIGITS = 6


def write_report(
    out: Path,
    results: Sequence[RunResult],
    verdict: Verdict,
    mechanism: Mechanism | None,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Writes the report into ``out``; returns the content of ``ablation.json``.

    Args:
        results: The runs that ``verdict`` was made from.
        about: Plain values, such as configuration, hash of the base and versions; ``planned``
            lists the keys of all runs that belong to the experiment.
    """
    content = report_content(results, verdict, mechanism, about)
    charts = draw_plots(results, verdict, mechanism)
    for name, image in charts.items():
        with atomic_path(out / f"{name}.png") as temporary:
            write_png(temporary, image)
    texts = {
        "ablation.json": json.dumps(content, indent=1, allow_nan=False),
        "ablation.md": markdown(content, list(charts)),
    }
    for name, text in texts.items():
        write_text(out / name, f"{text}\n")
    return content


def report_content(
    results: Sequence[RunResult],
    verdict: Verdict,
    mechanism: Mechanism | None,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of ``ablation.json``: all but the scores of single images."""
    done, planned = [run.key for run in results], list(about["planned"])
    content = {
        "verdict": asdict(verdict),
        "mechanism": None if mechanism is None else asdict(mechanism),
        "missing": [key for key in planned if key not in done],
        "unplanned": [key for key in done if key not in planned],
        "runs": [_run(run) for run in sorted(results, key=lambda run: run.key)],
        "about": dict(about),
        "version": __version__,
    }
    return {key: _rounded(value) for key, value in content.items()}


def _run(run: RunResult) -> dict[str, Any]:
    means = {
        dataset: {name: float(np.mean(values)) for name, values in scores.values.items()}
        for dataset, scores in run.scores.items()
    }
    images = {dataset: len(scores.names) for dataset, scores in run.scores.items()}
    return {"key": run.key, **asdict(run), "scores": means, "images": images}


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return round(value, _DIGITS) if isinstance(value, float) else value
