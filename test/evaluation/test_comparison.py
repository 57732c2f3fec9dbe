"""Comparisons of score tables whose outcome is known."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.evaluation.comparison import (
    ComparisonConfig,
    compare_runs,
    comparison_text,
    read_image_scores,
    write_comparison,
)
from repsam_ros.metrics.labels import SCORE_NAMES
from repsam_ros.metrics.statistics import BootstrapSettings

BOOTSTRAP = BootstrapSettings(samples=200)
HEADER = f"name,{','.join(SCORE_NAMES)},true,scene\n"


def write_scores(folder: Path, scores: dict[str, float], true: int = 4) -> str:
    """A ``per_image.csv`` with the same value in each column of a row; scenes are folders."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "per_image.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("name", *SCORE_NAMES, "predicted", "true", "latency_ms", "scene"))
        for name, value in scores.items():
            scene = name.rpartition("/")[0]
            writer.writerow((name, *[value] * len(SCORE_NAMES), 3, true, "", scene))
    return str(folder)


def compare(tmp_path: Path, a: dict[str, float], b: dict[str, float], **more: float) -> dict:
    folders = {"a": write_scores(tmp_path / "a", a), "b": write_scores(tmp_path / "b", b)}
    return compare_runs(ComparisonConfig(**folders, bootstrap=BOOTSTRAP, **more))


def test_five_images_by_hand(tmp_path: Path) -> None:
    a = {str(k): 50.0 + k for k in range(5)}
    b = {name: a[name] + change for name, change in zip(a, (1, 2, 0, 4, 3), strict=True)}
    # Rows in another order belong together by name.
    result = compare(tmp_path, a, dict(reversed(b.items())))
    assert (result["n"], result["scenes"]) == (5, None)
    assert list(result["scores"]) == list(SCORE_NAMES)
    row = result["scores"]["overlap_f"]
    assert (row["mean_a"], row["mean_b"], row["difference"]) == (52, 54, 2)
    assert (row["wins"], row["losses"]) == (4, 0)
    # Signs of 4 differences matter, the fifth is zero: 2 of 2^4 patterns are as extreme.
    assert row["p"] == pytest.approx(2 / 16)
    assert row["p_holm"] == 1
    assert row["ci95"][0] < 2 < row["ci95"][1]
    assert row["p_equivalence"] > 0.5


def test_one_image_tells_nothing_of_others(tmp_path: Path) -> None:
    result = compare(tmp_path, {"a": 50.0}, {"a": 60.0})
    row = result["scores"]["overlap_f"]
    assert (row["difference"], row["ci95"], row["p"], row["p_equivalence"]) == (10, None, 1, 1)
    assert re.search(r"^Overlap F +50\.00 +60\.00 +\+10\.00 +- ", comparison_text(result), re.M)


def test_swapping_runs_turns_signs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = ({f"{k:02}": float(v) for k, v in enumerate(rng.normal(60, 9, 14))} for _ in "ab")
    there = compare(tmp_path / "1", a, b)["scores"]["pct75"]
    back = compare(tmp_path / "2", b, a)["scores"]["pct75"]
    assert there["difference"] == pytest.approx(-back["difference"])
    assert there["ci95"] == pytest.approx([-x for x in reversed(back["ci95"])], abs=1e-3)
    assert (there["wins"], there["losses"]) == (back["losses"], back["wins"])
    for name in ("p", "p_holm", "p_equivalence"):
        assert there[name] == pytest.approx(back[name])


def test_images_of_one_scene_are_not_counted_as_evidence_each(tmp_path: Path) -> None:
    names = [f"scene{k}/{image}" for k in range(4) for image in range(10)]
    a = dict.fromkeys(names, 50.0)
    b = {name: 50.0 + float(name[5]) + 1 for name in names}
    result = compare(tmp_path / "1", a, b)
    assert result["scenes"] == 4
    assert result["scores"]["overlap_f"]["p"] == pytest.approx(2 / 16)
    assert "40 images of 4 scenes" in comparison_text(result)
    flat = {name.replace("/", "-"): value for name, value in b.items()}
    result = compare(tmp_path / "2", dict.fromkeys(flat, 50.0), flat)
    assert result["scenes"] is None
    assert result["scores"]["overlap_f"]["p"] < 0.001


def test_equally_good_runs_are_shown_to_be(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    a = {f"{k:02}": float(v) for k, v in enumerate(rng.uniform(40, 99, 40))}
    b = {name: value + float(rng.normal(0, 0.4)) for name, value in a.items()}
    row = compare(tmp_path, a, b)["scores"]["strict_miou"]
    assert row["p_equivalence"] < 0.001 and row["p"] > 0.05
    assert compare(tmp_path, a, b, margin=0.01)["scores"]["strict_miou"]["p_equivalence"] > 0.05


def test_written_files_say_what_the_terminal_says(tmp_path: Path) -> None:
    a = {str(k): 50.0 for k in range(20)}
    result = compare(tmp_path, a, dict.fromkeys(a, 51.5))
    text = comparison_text(result)
    assert "Overlap F" in text and "+1.50 to +1.50" in text and "20/0" in text
    assert "< 0.0001" not in text and "0.0002" in text
    write_comparison(result, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "compare.json").read_text()) == result
    rows = (tmp_path / "out" / "compare.md").read_text().splitlines()
    table = [row for row in rows if row.startswith("|")]
    assert len(table) == 2 + len(SCORE_NAMES)
    assert len({row.count("|") for row in table}) == 1
    assert "| %75 | 50.00 | 51.50 | +1.50 |" in "\n".join(table)


def test_other_frames_are_named(tmp_path: Path) -> None:
    a = dict.fromkeys("abcdefg", 50.0)
    with pytest.raises(DatasetError, match=r"only in \S*/a: c, d, e and 2 more$"):
        compare(tmp_path, a, dict.fromkeys("ab", 50.0))
    with pytest.raises(DatasetError, match=r"only in \S*/a: g; only in \S*/b: x$"):
        compare(tmp_path, a, dict.fromkeys("abcdefx", 50.0))


def test_other_truth_is_named(tmp_path: Path) -> None:
    a = write_scores(tmp_path / "a", {"f1": 50, "f2": 50})
    b = write_scores(tmp_path / "b", {"f1": 50, "f2": 50}, true=5)
    with pytest.raises(DatasetError, match="number of true objects differs in f1, f2"):
        compare_runs(ComparisonConfig(a=a, b=b, bootstrap=BOOTSTRAP))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("", "no images"),
        ("name,true\nx,1\n", "no column overlap_p"),
        (f"{HEADER}x\n", "not a table of scores"),
        (f"{HEADER}x{',1' * 8},high,2,\n", "'high'"),
        (f"{HEADER}x{',1' * 8},nan,2,\n", "empty scores"),
        (HEADER + f"x{',1' * 10},\n" * 2, "x more than once"),
        (
            HEADER.replace(",scene", "") + f"x{',1' * 10}\n",
            "no column scene, as repsam eval writes it$",
        ),
        (b"\xff\xfe\x00", "not a table of scores"),
    ],
)
def test_broken_tables_are_named(tmp_path: Path, content: str | bytes | None, message: str) -> None:
    path = tmp_path / "per_image.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DatasetError, match=f"per_image.csv: .*{message}"):
        read_image_scores(tmp_path)


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan")])
def test_margin_must_be_positive(margin: float) -> None:
    with pytest.raises(ConfigError, match="margin must be positive"):
        ComparisonConfig(a="a", b="b", margin=margin)
