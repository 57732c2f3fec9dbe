"""What holds for every format: a data set has frames, and each has a name of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from repsam_ros.cli.main import main
from repsam_ros.datasets import open_dataset
from repsam_ros.errors import DatasetError


def write_wisdom(root: Path, **splits: list[int]) -> None:
    """Index files alone: nothing else is read before a sample is asked for."""
    (root / "modal_segmasks").mkdir(parents=True)
    for split, indices in splits.items():
        np.save(root / f"{split}_indices.npy", np.array(indices, np.int64))


def test_a_split_without_frames_is_an_error(tmp_path: Path) -> None:
    write_wisdom(tmp_path, train=[], test=[3])
    with pytest.raises(DatasetError, match=rf"^{tmp_path}: no frames of split train$"):
        open_dataset("wisdom", tmp_path, "train")
    assert len(open_dataset("wisdom", tmp_path)) == 1


def test_a_data_set_without_frames_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test" / "000001").mkdir(parents=True)
    (tmp_path / "test" / "000001" / "scene_camera.json").write_text("{}")
    with pytest.raises(DatasetError, match=rf"^{tmp_path}: no frames$"):
        open_dataset("lmo", tmp_path)


@pytest.mark.parametrize("splits", [{"test": [7, 7, 3, 3]}, {"train": [7], "test": [3, 7]}])
def test_frames_that_share_a_name_are_an_error(
    tmp_path: Path, splits: dict[str, list[int]]
) -> None:
    write_wisdom(tmp_path, **splits)
    with pytest.raises(DatasetError, match=rf"^{tmp_path}: several frames named image_000007"):
        open_dataset("wisdom", tmp_path)


def test_eval_of_no_frames_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_wisdom(tmp_path, train=[])
    given = ["--dataset", "wisdom", "--root", str(tmp_path), "--labels", str(tmp_path)]
    assert main(["eval", *given, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"repsam: error: {tmp_path}: no frames\n"
