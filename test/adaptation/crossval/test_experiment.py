"""A cross-validation end to end on a few simulated frames."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from repsam_ros.adaptation.crossval.config import ArmSettings, CrossvalConfig
from repsam_ros.adaptation.crossval.experiment import crossval
from repsam_ros.adaptation.crossval.folds import inner_pair
from repsam_ros.adaptation.crossval.page import page
from repsam_ros.adaptation.crossval.results import FoldResult
from repsam_ros.adaptation.crossval.trial import Trial, run_trial
from repsam_ros.adaptation.image_scores import Scores
from repsam_ros.adaptation.kept_runs import read_result
from repsam_ros.cli.main import main
from repsam_ros.config import differences, load_config
from repsam_ros.errors import ConfigError
from repsam_ros.images import write_png
from repsam_ros.network.ranks import RankAllocation, save_allocation
from repsam_ros.network.weights import find_model
from repsam_ros.paths import share_dir
from repsam_ros.simulation.configuration import load_simulate_config
from repsam_ros.simulation.simulate import simulate
from repsam_ros.simulation.workers import one_thread

NAMES = [f"00000{scene}-0{view}" for scene in range(3) for view in range(2)]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("crossval") / "frames"
    given = {"scenes": 3, "seed": 5, "views": 2, "size": (160, 120)}
    simulate(load_simulate_config(given, None, ["twins=[]"]), root)
    return root


def overrides(frames: Path) -> list[str]:
    return [f"data.root={frames}", "train.steps=1"]


@pytest.fixture(scope="module")
def config(frames: Path) -> CrossvalConfig:
    path = share_dir() / "config" / "crossval" / "smoke.yaml"
    return load_config(CrossvalConfig, path, overrides(frames))


@pytest.fixture(scope="module")
def finished(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("crossval") / "out"
    given = [word for override in overrides(frames) for word in ("--set", override)]
    assert main(["crossval", "smoke", "--out", str(out), *given]) == 0
    return out


def results(out: Path, folder: str = "runs") -> list[FoldResult]:
    return [read_result(FoldResult, path) for path in sorted((out / folder).iterdir())]


def report(out: Path) -> dict[str, Any]:
    """The report without what a clock says."""
    found: dict[str, Any] = json.loads((out / "crossval.json").read_text())
    for arm in found["arms"]:
        del arm["seconds"]
    return found


def test_each_frame_is_scored_by_networks_that_saw_nothing_of_its_scene(finished: Path) -> None:
    scored: dict[str, list[str]] = {}
    for result in [*results(finished), *results(finished, "tuning")]:
        names = result.scores["held_out"].names
        assert {*result.trained_on}.isdisjoint(names)
        assert {*result.trained_on} | {*names} == ({*NAMES} if result.trained_on else {*names})
        scenes = {name.partition("-")[0] for name in names}
        assert scenes.isdisjoint(name.partition("-")[0] for name in result.trained_on)
    for result in results(finished):
        scored.setdefault(result.arm, []).extend(result.scores["held_out"].names)
        assert len(result.scores["simulated"].names) == 1
    assert scored.keys() == {"zero_shot", "zero_shot_rgb", "lora_rgb", "full"}
    assert all(sorted(names) == NAMES for names in scored.values())
    content = json.loads((finished / "crossval.json").read_text())
    assert (finished / "crossval.md").read_text() == page(content) + "\n"
    counts = {arm["name"]: arm["trainable_params"] for arm in content["arms"]}
    assert counts["zero_shot"] == [0] and 0 < counts["lora_rgb"][0] < counts["full"][0]


def test_the_rate_of_a_fold_is_chosen_without_its_frames(finished: Path) -> None:
    content = report(finished)
    folds = content["about"]["folds"]
    tuning = {(r.left_out, r.learning_rate): r for r in results(finished, "tuning")}
    # Two rates; one training serves folds 0 and 1, another one fold 2.
    assert len(tuning) == 2 * 2
    for fold in range(3):
        pair = inner_pair(fold, 3)
        scores = {}
        for rate in (1e-4, 1e-3):
            found = tuning[tuple(sorted(pair)), rate].scores["held_out"]
            values = dict(zip(found.names, found.values["strict_miou"], strict=True))
            scores[rate] = np.mean([values[name] for name in folds[pair[1]]])
            told = content["about"]["tuning"]["full"][fold][f"{rate:g}"]
            assert told == pytest.approx(scores[rate])
        runs = [r for r in results(finished) if (r.arm, r.left_out) == ("full", (fold,))]
        assert runs[0].learning_rate == max(scores, key=lambda rate: scores[rate])


def test_the_base_scores_as_repsam_eval_says(frames: Path, finished: Path, tmp_path: Path) -> None:
    for arm, see in (("zero_shot", "rgbd"), ("zero_shot_rgb", "rgb")):
        out = tmp_path / see
        arguments = ["eval", "--dataset", "simulated", "--root", str(frames), "--out", str(out)]
        with one_thread():
            assert main([*arguments, "--see", see, "--set", "bootstrap.samples=20"]) == 0
        with (out / "per_image.csv").open(newline="") as file:
            told = {row["name"]: row for row in csv.DictReader(file)}
        for row in report(finished)["datasets"]["held_out"]["per_image"]:
            for metric, value in row["scores"][arm].items():
                assert float(told[row["name"]][metric]) == pytest.approx(value, abs=1e-4)


def test_an_interrupted_experiment_ends_as_an_unbroken_one(
    config: CrossvalConfig, finished: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(finished, broken)
    gone = (
        "crossval.json",
        "crossval.md",
        "runs/lora_rgb-f1-s0.json",
        "tuning/full-f0_2-s1000-0.001.json",
    )
    for name in gone:
        (broken / name).unlink()
    files = [path for folder in ("runs", "tuning") for path in (broken / folder).iterdir()]
    kept = {path: path.stat().st_mtime_ns for path in files}
    crossval(config, broken, device="cpu")
    assert report(broken) == report(finished)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())


def test_further_arms_join_and_another_plan_is_refused(
    config: CrossvalConfig, finished: Path, tmp_path: Path
) -> None:
    grown = tmp_path / "grown"
    shutil.copytree(finished, grown)
    arms = (*config.arms, ArmSettings("zero_shot_depth", "zero_shot", see="depth"))
    content = crossval(replace(config, arms=arms), grown, device="cpu")
    assert "zero_shot_depth" in content["datasets"]["held_out"]["arms"]
    changed = replace(config, pipeline=replace(config.pipeline, max_prompts=7))
    with pytest.raises(ConfigError, match=r"another plan, remove it: pipeline\.max_prompts is 40"):
        crossval(changed, grown, device="cpu")


def test_ranks_belong_to_the_plan(config: CrossvalConfig, tmp_path: Path) -> None:
    path = tmp_path / "ranks.json"
    arm = ArmSettings("arm", "repsam", {"ranks_file": str(path)})
    trial = Trial(config, arm, (("a",), ("b",)), (0,), 0, 1e-3, None, "", "cpu")
    plans = []
    for ranks in ((1, 2), (2, 1)):
        save_allocation(path, RankAllocation("cka", 6, 6, 0, ranks, (2, 2), (1.0, 1.0)))
        plans.append(trial.plan)
    (changed,) = differences(*plans)
    assert changed == "ranks is [1, 2] there, [2, 1] here"
    path.unlink()
    with pytest.raises(ConfigError, match="not a readable rank allocation"):
        assert trial.plan


def change(root: Path, out: Path, folder: str, names: list[str]) -> Path:
    """A copy of a data set with other pixels in some images of one folder."""
    shutil.copytree(root, out)
    for name in names:
        path = out / folder / f"{name}.png"
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if folder == "rgb":
            pixels = 255 - pixels
        write_png(path, np.zeros_like(pixels) if folder == "depth" else pixels[..., ::-1])
    return out


@pytest.fixture
def score(config: CrossvalConfig, finished: Path) -> Callable[[str, Path], dict[str, Scores]]:
    """Trains a step on two folds, whose pictures it sees all, and scores the third one."""
    pipeline = replace(config.pipeline, min_prompt_score=0.0, max_prompts=5)
    masks = replace(pipeline.masks, min_score=0.0, mask_threshold=0.0)

    def score(see: str, root: Path) -> dict[str, Scores]:
        changed = replace(
            config,
            data=replace(config.data, root=str(root)),
            train=replace(
                config.train, steps=1, batch_size=4, depth_dropout=0.0, color_dropout=0.0
            ),
            pipeline=replace(pipeline, masks=masks),
        )
        folds = tuple((f"00000{k}-00", f"00000{k}-01") for k in range(3))
        arm = ArmSettings("arm", "decoder_only", see=see)
        base = find_model(config.base).sha256
        further = finished / "frames"
        trial = Trial(changed, arm, folds, (0,), 0, 1e-3, further, base, "cpu")
        return run_trial(trial).scores

    return score


def test_frames_held_out_have_no_say_in_training(
    score: Callable[[str, Path], dict[str, Scores]], frames: Path, tmp_path: Path
) -> None:
    plain = score("rgbd", frames)
    held_out = score("rgbd", change(frames, tmp_path / "a", "rgb", NAMES[:2]))
    trained = score("rgbd", change(frames, tmp_path / "b", "rgb", NAMES[2:]))
    assert held_out["simulated"] == plain["simulated"] != trained["simulated"]
    assert held_out["held_out"] != plain["held_out"]


@pytest.mark.parametrize(("see", "unseen"), [("rgb", "depth"), ("depth", "rgb")])
def test_what_an_arm_does_not_see_has_no_say(
    see: str,
    unseen: str,
    score: Callable[[str, Path], dict[str, Scores]],
    frames: Path,
    tmp_path: Path,
) -> None:
    plain = score(see, frames)
    assert score(see, change(frames, tmp_path / "a", unseen, NAMES)) == plain
    seen = "rgb" if see == "rgb" else "depth"
    assert score(see, change(frames, tmp_path / "b", seen, NAMES)) != plain
