"""Model cards say what the files beside them say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from repsam_ros.errors import CheckpointError
from repsam_ros.evaluation.model_card import write_model_card
from repsam_ros.paths import share_dir

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results" / "repsam_tiny"


@pytest.mark.parametrize("model", ["base_v0", "repsam_tiny", "repsam_v0"])
def test_the_committed_card_is_what_the_command_writes(model: str) -> None:
    card = share_dir() / "models" / f"{model}.md"
    assert card.read_text() == write_model_card(model, RESULTS.with_name(model))


def test_a_path_is_no_model_of_the_manifest() -> None:
    with pytest.raises(CheckpointError, match="there are: repsam_tiny"):
        write_model_card("models/repsam_tiny.safetensors", RESULTS)


def test_results_of_other_weights_are_refused(tmp_path: Path) -> None:
    shutil.copytree(RESULTS, tmp_path / "results")
    path = tmp_path / "results" / "mosd_learn.json"
    text = path.read_text()
    path.write_text(text.replace('"model_sha256": "', '"model_sha256": "0'))
    with pytest.raises(CheckpointError, match=r"mosd_learn\.json"):
        write_model_card("repsam_tiny", tmp_path / "results")
