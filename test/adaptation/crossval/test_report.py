"""The report of planted results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repsam_ros.adaptation.crossval.config import ArmSettings, CrossvalConfig
from repsam_ros.adaptation.crossval.page import page
from repsam_ros.adaptation.crossval.report import report_content, write_report
from repsam_ros.adaptation.crossval.results import FoldResult
from repsam_ros.adaptation.image_scores import Scores
from repsam_ros.adaptation.kept_runs import read_result, write_result
from repsam_ros.adaptation.picture_sources import DatasetSettings
from repsam_ros.adaptation.training_config import TrainConfig
from repsam_ros.errors import DatasetError
from repsam_ros.metrics.labels import SCORE_NAMES
from repsam_ros.metrics.statistics import BootstrapSettings

FOLDS = tuple(tuple(f"{fold}-{k}" for k in range(6)) for fold in range(3))
ARMS = (
    ArmSettings("base", "zero_shot"),
    ArmSettings("base_rgb", "zero_shot", see="rgb"),
    ArmSettings("lora", "lora"),
    ArmSettings("lora_rgb", "lora", see="rgb"),
    ArmSettings("full", "full_finetuning"),
)
GAINS = {"base": 0.0, "base_rgb": -20.0, "lora": 4.0, "lora_rgb": -15.0, "full": 5.0}
CONFIG = CrossvalConfig(
    base="repsam_tiny",
    data=DatasetSettings("mosd", "data/mosd"),
    train=TrainConfig(),
    arms=ARMS,
    folds=3,
    bootstrap=BootstrapSettings(samples=300),
)
ABOUT = {
    "config": {
        "base": "repsam_tiny",
        "data": {"name": "mosd"},
        "train": {"steps": 10, "batch_size": 2},
        "seeds": 1,
        "metric": "strict_miou",
        "arms": [{"name": arm.name, "options": {}} for arm in ARMS],
    },
    "base_sha256": "0" * 64,
    "folds": [list(fold) for fold in FOLDS],
    "tuning": {},
    "missing": [],
    "torch": "2",
    "device": "cpu",
}


def planted(arm: ArmSettings, left_out: tuple[int, ...], seed: int = 0) -> FoldResult:
    """Images of 70 +- 5 points that all arms share, plus the arm's gain and a little noise."""
    names = tuple(name for fold in left_out for name in FOLDS[fold])
    rng = np.random.default_rng([ord(letter) for letter in arm.name] + [*left_out, seed])
    shared = [np.random.default_rng([ord(c) for c in name]).normal(70, 5) for name in names]
    values = tuple((np.array(shared) + GAINS[arm.name] + rng.normal(0, 0.3, len(names))).tolist())
    trained = tuple(n for k, fold in enumerate(FOLDS) if k not in left_out for n in fold)
    scores = Scores(names, ("",) * len(names), dict.fromkeys(SCORE_NAMES, values))
    return FoldResult(
        arm=arm.name,
        left_out=left_out,
        seed=seed,
        learning_rate=1e-3 if arm.trains else None,
        plan={},
        ranks=(),
        trainable_params=1234567 if arm.trains else 0,
        seconds=60.0,
        trained_on=trained,
        scores={"held_out": scores},
    )


def every_result() -> list[FoldResult]:
    return [
        planted(arm, left_out)
        for arm in ARMS
        for left_out in ([(k,) for k in range(3)] if arm.trains else [(0, 1, 2)])
    ]


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    return report_content(CONFIG, every_result(), ABOUT)


def test_planted_differences_are_found(content: dict[str, Any]) -> None:
    rows = {
        (row["arm"], row["kind"]): row for row in content["datasets"]["held_out"]["differences"]
    }
    pairs = {key: row["against"] for key, row in rows.items()}
    assert pairs == {
        ("lora", "zero_shot"): "base",
        ("lora_rgb", "zero_shot"): "base_rgb",
        ("full", "zero_shot"): "base",
        ("base", "full_finetuning"): "full",
        ("base_rgb", "full_finetuning"): "full",
        ("lora", "full_finetuning"): "full",
        ("lora_rgb", "full_finetuning"): "full",
    }
    for (arm, _), row in rows.items():
        wanted = GAINS[arm] - GAINS[row["against"]]
        low, high = row["ci95"]["strict_miou"]
        assert low < row["difference"]["strict_miou"] < high
        assert row["difference"]["strict_miou"] == pytest.approx(wanted, abs=0.4)
        assert row["p"]["strict_miou"] <= row["p_holm"]["strict_miou"] < 0.01


def test_shares_are_of_the_mean_of_full_finetuning(content: dict[str, Any]) -> None:
    arms = content["datasets"]["held_out"]["arms"]
    for arm in arms.values():
        share = 100 * arm["mean"]["strict_miou"] / arms["full"]["mean"]["strict_miou"]
        assert arm["share_of_full"]["strict_miou"] == pytest.approx(share, abs=0.01)
    assert arms["full"]["share_of_full"]["overlap_f"] == 100


def test_means_are_those_of_the_images(content: dict[str, Any]) -> None:
    held_out = content["datasets"]["held_out"]
    assert [row["name"] for row in held_out["per_image"]] == [n for fold in FOLDS for n in fold]
    for name, arm in held_out["arms"].items():
        images = [row["scores"][name]["strict_miou"] for row in held_out["per_image"]]
        assert np.mean(images) == pytest.approx(arm["mean"]["strict_miou"], abs=1e-3)


def cells(text: str, heading: str) -> dict[str, list[str]]:
    """The first table under a heading by the name in its first column."""
    lines = text.split(f"## {heading}\n", 1)[1].splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("| ---"))
    rows = {}
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        name, *rest = (cell.strip() for cell in line.strip("|").split("|"))
        rows[name.strip("`")] = rest
    return rows


def test_the_page_says_what_the_json_says(content: dict[str, Any], tmp_path: Path) -> None:
    written = write_report(tmp_path, CONFIG, every_result(), ABOUT)
    kept = json.loads((tmp_path / "crossval.json").read_text())
    text = (tmp_path / "crossval.md").read_text()
    assert written == kept == content and text == page(kept) + "\n"
    arms = kept["datasets"]["held_out"]["arms"]
    shown = cells(text, "Results")
    assert shown.keys() == {arm.name for arm in ARMS} == arms.keys()
    for name, row in shown.items():
        method, sees, trained, score, share = row
        numbers = [float(number) for number in re.findall(r"[\d.]+", score)]
        arm = arms[name]
        wanted = [arm["mean"]["strict_miou"], *arm["ci95"]["strict_miou"]]
        assert numbers == pytest.approx(wanted, abs=0.00501)
        assert float(share.split()[0]) == pytest.approx(
            arm["share_of_full"]["strict_miou"], abs=0.0501
        )
        assert (sees == "RGB") == name.endswith("rgb")
        assert trained == ("0" if method == "`zero_shot`" else "1,234,567")


def test_an_arm_without_all_networks_is_not_judged() -> None:
    results = [r for r in every_result() if (r.arm, r.left_out) != ("lora", (1,))]
    content = report_content(CONFIG, results, {**ABOUT, "missing": ["lora-f1-s0"]})
    held_out = content["datasets"]["held_out"]
    assert "lora" not in held_out["arms"] and "full" in held_out["arms"]
    assert all(row["arm"] != "lora" for row in held_out["differences"])
    text = page(content)
    assert "1 networks diverged and are missing** (lora-f1-s0)" in text
    assert cells(text, "Results")["lora"][-1] == "-"


def test_seeds_are_averaged_image_by_image() -> None:
    second = [planted(ARMS[2], (k,), 1) for k in range(3)]
    content = report_content(CONFIG, [*every_result(), *second], ABOUT)
    row = content["datasets"]["held_out"]["per_image"][7]
    values = [planted(ARMS[2], (1,), seed).scores["held_out"] for seed in (0, 1)]
    wanted = np.mean([found.values["strict_miou"][1] for found in values])
    assert row["name"] == values[0].names[1]
    assert row["scores"]["lora"]["strict_miou"] == pytest.approx(wanted, abs=1e-3)


def test_a_frame_that_was_trained_on_is_no_test_frame(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_result(path, planted(ARMS[2], (1,)))
    assert read_result(FoldResult, path) == planted(ARMS[2], (1,))
    kept = json.loads(path.read_text())
    kept["trained_on"].append(FOLDS[1][2])
    path.write_text(json.dumps(kept))
    with pytest.raises(DatasetError, match="run.json: trained on and scored: 1-2"):
        read_result(FoldResult, path)
