"""The report is opened and its numbers compared with those computed by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repsam_ros.adaptation.ablation.mechanism import check_mechanism
from repsam_ros.adaptation.ablation.plots import draw_plots
from repsam_ros.adaptation.ablation.report import write_report
from repsam_ros.adaptation.ablation.results import RunResult
from repsam_ros.adaptation.ablation.verdict import VerdictSettings, judge
from repsam_ros.images import read_color
from repsam_ros.metrics.statistics import BootstrapSettings

MakeRuns = Callable[..., list[RunResult]]
SETTINGS = VerdictSettings(bootstrap=BootstrapSettings(samples=200))
GAINS = {"uniform": 0, "cka": 2, "random_0": 0, "random_1": 0.5, "reversed": -1}
LOST = ("random_1-r4-rgbd-s3", "reversed-r1-rgbd-s2")


@pytest.fixture(scope="module")
def runs(make_runs: MakeRuns) -> list[RunResult]:
    """Two lost runs, two budgets, the 2 x 2."""
    options: dict[str, Any] = {"noise": 0.2, "datasets": ("real", "simulated")}
    pair = {"uniform": -10, "cka": -9}
    every = make_runs(GAINS, **options) + make_runs(GAINS, seeds=3, mean_rank=1, **options)
    every += make_runs(pair, seeds=6, fusion=False, **options)
    return [run for run in every if run.key not in LOST]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, runs: list[RunResult]) -> Path:
    out = tmp_path_factory.mktemp("ablation")
    about = {
        "planned": [*(run.key for run in runs if run.key != "cka-r4-rgb-s0"), *LOST],
        "config": {"preset": "test"},
        "model_sha256": "ab12",
    }
    mechanism = check_mechanism([0.1, 0.9, 0.4], [1, 3, 2], [0.3, 0.2, -0.1])
    write_report(out, runs, judge(runs, SETTINGS), mechanism, about)
    return out


def table_rows(markdown: str, begin: str) -> list[list[str]]:
    """Cells of the lines that begin so, over all tables."""
    lines = [line for line in markdown.splitlines() if line.startswith(f"| {begin} |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def mean(runs: list[RunResult], arm: str, seed: int, rank: int = 4, fusion: bool = True) -> float:
    place = (arm, seed, rank, fusion)
    (run,) = [r for r in runs if (r.arm, r.seed, r.mean_rank, r.fusion) == place]
    return float(np.mean(run.scores["simulated"].values["strict_miou"]))


def test_folder_holds_the_report_and_charts(out: Path) -> None:
    names = sorted(path.name for path in out.iterdir())
    charts = ["differences.png", "mechanism.png", "ranks.png"]
    assert names == ["ablation.json", "ablation.md", *charts]
    markdown = (out / "ablation.md").read_text()
    assert sorted(re.findall(r"!\[.*?\]\((.*?)\)", markdown)) == charts
    # Arms of both data sets below each other, six arms of ranks on two charts.
    assert read_color(out / "differences.png").shape == (640, 900, 3)
    assert read_color(out / "ranks.png").shape == (320, 900, 3)
    for name in charts:
        assert len(np.unique(read_color(out / name).reshape(-1, 3), axis=0)) > 20


def test_numbers_are_those_by_hand(out: Path, runs: list[RunResult]) -> None:
    content = json.loads((out / "ablation.json").read_text())
    markdown = (out / "ablation.md").read_text()
    differences = [mean(runs, "cka", seed) - mean(runs, "uniform", seed) for seed in range(10)]
    (definition,) = content["verdict"]["definitions"]
    effect = definition["comparisons"][0]["effect"]
    assert effect["by_seed"] == pytest.approx(differences, abs=1e-6)
    low, high = effect["ci95"]
    row = next(row for row in table_rows(markdown, "`cka`") if row[1] == "uniform")
    assert row[2:6] == ["10", "6", f"{np.mean(differences):+.2f}", f"{low:+.2f} to {high:+.2f}"]
    assert row[6:8] == ["0.0020", "0.0039"] and row[9] == "10/0"
    random = next(row for row in table_rows(markdown, "`cka`") if "random" in row[1])
    assert random[2] == "9"
    assert definition["word"] == "supported" and f"- {definition['sentence']}" in markdown

    gains = [
        [mean(runs, "cka", s, fusion=f) - mean(runs, "uniform", s, fusion=f) for s in range(6)]
        for f in (False, True)
    ]
    (interaction,) = [r for r in table_rows(markdown, "simulated") if r[2] == "interaction"]
    assert (
        interaction[3] == "6" and interaction[5] == f"{np.mean(gains[1]) - np.mean(gains[0]):+.2f}"
    )
    scores = [mean(runs, "reversed", seed) for seed in range(10)]
    cells = [row for row in table_rows(markdown, "`reversed`") if row[1:4] == ["4", "RGB-D", "10"]]
    assert len(cells) == 4 and cells[2][4].startswith(f"{np.mean(scores):.2f} (")
    over = np.mean(scores) - np.mean([mean(runs, "uniform", seed) for seed in range(10)])
    assert cells[3][4].startswith(f"{over:+.2f} (")


def test_runs_are_listed_and_none_is_dropped_silently(out: Path, runs: list[RunResult]) -> None:
    content = json.loads((out / "ablation.json").read_text())
    markdown = (out / "ablation.md").read_text()
    assert content["missing"] == list(LOST) and content["unplanned"] == ["cka-r4-rgb-s0"]
    total = len(runs) + 1
    assert f"**Incomplete: 2 of {total} planned runs are missing** ({', '.join(LOST)})" in markdown
    assert "Missing: `random_1-r4-rgbd-s3`, `reversed-r1-rgbd-s2`." in markdown
    assert "Unplanned: `cka-r4-rgb-s0`." in markdown
    assert sorted(each["key"] for each in content["runs"]) == sorted(run.key for run in runs)
    first = next(each for each in content["runs"] if each["key"] == "cka-r4-rgbd-s0")
    assert first["scores"]["simulated"]["strict_miou"] == pytest.approx(mean(runs, "cka", 0))
    assert first["images"] == {"real": 12, "simulated": 12} and first["ranks"] == [7, 4, 1]
    lost = [row for row in table_rows(markdown, "`random_1`") if "300" in row]
    assert [row[3] for row in lost] == ["0, 1, 2", "0, 1, 2, 4, 5, 6, 7, 8, 9"]
    assert lost[0][4:] == ["300", "1,200", "51,200", "1.5"]
    assert "model_sha256: ab12" in markdown and content["about"]["config"] == {"preset": "test"}


def test_mechanism_is_printed(out: Path) -> None:
    markdown = (out / "ablation.md").read_text()
    assert "relative change by full fine-tuning: rho = +1.00, p = 0.3333" in markdown
    assert table_rows(markdown, "1") == [["1", "0.9000", "3.0000", "0.2000"]]


def test_an_experiment_that_barely_began_says_so(tmp_path: Path, make_runs: MakeRuns) -> None:
    runs = make_runs({"uniform": 0, "cka": 1}, seeds=1)
    planned = [*(run.key for run in runs), "random_0-r4-rgbd-s0"]
    write_report(tmp_path, runs, judge(runs, SETTINGS), None, {"planned": planned})
    markdown = (tmp_path / "ablation.md").read_text()
    assert "is not judged on simulated strict mIoU" in markdown
    assert "common seeds with uniform: 1" in markdown
    assert "Incomplete: 1 of 3" in markdown and "Not measured." in markdown
    assert "Not judged on simulated: seeds that all four have: 0" in markdown
    alone = make_runs({"uniform": 0}, seeds=2)
    write_report(tmp_path, alone, judge(alone, SETTINGS), None, {"planned": []})
    markdown = (tmp_path / "ablation.md").read_text()
    assert "nothing is judged" in markdown and "Incomplete" not in markdown
    assert "## Primary comparisons" not in markdown


def test_charts_of_ranks_hold_what_compares(make_runs: MakeRuns) -> None:
    pair = make_runs({"uniform": 0, "cka": 1}, seeds=2)
    eva = [
        replace(run, ranks=(8, 6, 1, 3, 0, 2 * run.seed)) for run in make_runs({"eva": 2}, seeds=2)
    ]
    others = [replace(run, ranks=()) for run in make_runs({"none": 0}, seeds=2)]
    others += make_runs({"block_1": 1}, seeds=2)
    every = pair + eva + others
    verdict = judge(every, SETTINGS)
    drawn = draw_plots(every, verdict, None)
    # Two layers a block; those of the last one have 0 and twice the seed.
    folded = [replace(run, ranks=(7, 2, run.seed)) for run in eva]
    assert np.array_equal(drawn["ranks"], draw_plots(pair + folded, verdict, None)["ranks"])
    without = judge([run for run in every if run.arm != "block_1"], SETTINGS)
    expected = draw_plots(every, without, None)["differences"]
    assert np.array_equal(drawn["differences"], expected)
    assert "ranks" not in draw_plots([run for run in others if run.arm == "none"], verdict, None)
