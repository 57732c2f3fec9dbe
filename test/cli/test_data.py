"""``repsam data`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repsam_ros.cli.main import main
from repsam_ros.images import read_color, write_png

SIZE = (48, 64)


def write_frame(root: Path, name: str, depth_mm: int = 900, ids: tuple[int, int] = (1, 2)) -> None:
    """An OSD frame with two objects; a quarter of the pixels has no depth."""
    labels = np.zeros(SIZE, np.uint8)
    labels[10:20, 10:20], labels[25:40, 30:45] = ids
    depth = np.full(SIZE, depth_mm, np.uint16)
    depth[:12] = 0
    write_png(root / "image_color" / f"{name}.png", np.full((*SIZE, 3), 120, np.uint8))
    write_png(root / "disparity" / f"{name}.png", depth)
    write_png(root / "annotation" / f"{name}.png", labels)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "OSD"
    for k in range(5):
        write_frame(folder, f"learn{k}")
    for k in range(9):
        write_frame(folder, f"test{k}")
    return folder


def run_check(root: Path, out: Path, *more: str, name: str = "osd") -> tuple[int, dict[str, Any]]:
    code = main(["data", "check", name, str(root), "--out", str(out), *more])
    file = out / "check.json"
    return code, json.loads(file.read_text()) if file.exists() else {}


def test_counts_figures_and_files(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, check = run_check(root, tmp_path / "out", "--samples", "6")
    assert code == 0
    assert check["counts"] == {"learn": 5, "test": 9}
    names = [frame["name"] for frame in check["frames"]]
    assert names == ["learn0", "learn2", "learn4", "test0", "test4", "test8"]
    frame = check["frames"][0]
    assert frame["ids"] == [1, 2]
    assert frame["valid_share"] == 0.75
    assert frame["median_m"] == pytest.approx(0.9)
    assert (frame["width"], frame["height"], frame["fx"]) == (64, 48, 52.5)
    assert check["warnings"] == check["problems"] == []
    printed = capsys.readouterr()
    assert "learn" in printed.out and "(the release has 45)" in printed.out
    assert "0.90, 0.90, 0.90" in printed.out
    assert printed.err == ""


def test_contact_sheet_shows_masks_and_depth(root: Path, tmp_path: Path) -> None:
    run_check(root, tmp_path / "out", "--samples", "1")
    sheet = read_color(tmp_path / "out" / "contact_sheet.png")
    assert sheet.shape == (20 + 240, 640, 3)
    color, depth = sheet[20:, :320], sheet[20:, 320:]
    assert color[5, 5].tolist() == [120, 120, 120]
    inside = color[15 * 5, 15 * 5].astype(int)
    assert np.ptp(inside) > 30  # tinted
    assert not depth[: 12 * 5 - 1].any()
    assert depth[30 * 5, 5].any()


def test_one_split_alone(root: Path, tmp_path: Path) -> None:
    code, check = run_check(root, tmp_path / "out", "--split", "test", "--samples", "100")
    assert code == 0
    assert check["counts"] == {"test": 9}
    assert [frame["split"] for frame in check["frames"]] == 9 * ["test"]


def test_a_split_that_is_not_there_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_frame(tmp_path, "test0")
    code, check = run_check(tmp_path, tmp_path / "out")
    assert code == 0
    assert check["counts"] == {"learn": None, "test": 1}
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("learn")]
    assert line.endswith(
        "(the release has 45)  image_color: no images whose name begins with learn"
    )


def test_a_root_of_another_format_is_named_without_a_split(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_check(root, tmp_path / "out", name="cleargrasp") == (2, {})
    assert f"{root}: no frames, which are" in capsys.readouterr().err


def test_broken_files_are_named_after_the_rest_is_reported(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = root / "disparity" / "test8.png"
    broken.write_bytes(broken.read_bytes()[:-7])
    (root / "annotation" / "learn0.png").unlink()
    code, check = run_check(root, tmp_path / "out", "--samples", "6")
    assert code == 2
    assert sorted(check["broken"]) == ["learn0", "test8"]
    assert len(check["frames"]) == 4
    assert (tmp_path / "out" / "contact_sheet.png").is_file()
    printed = capsys.readouterr()
    assert "learn2" in printed.out and "test4" in printed.out
    assert "disparity/test8.png: truncated PNG" in printed.err
    assert "annotation/learn0.png: No such file" in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("depth_mm", "ids", "warning"),
    [
        (65_000, (1, 2), "learn0: median depth is 65 m; is the unit right?"),
        (9, (1, 2), "learn0: median depth is 0.009 m"),
        (0, (1, 2), "learn0: only 0.0% of the pixels have depth"),
        (900, (0, 0), "no sampled frame has an instance"),
    ],
)
def test_implausible_values_are_warnings(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    depth_mm: int,
    ids: tuple[int, int],
    warning: str,
) -> None:
    write_frame(tmp_path, "learn0", depth_mm, ids)
    code, check = run_check(tmp_path, tmp_path / "out")
    assert code == 0
    assert len(check["warnings"]) == 1 and check["warnings"][0].startswith(warning)
    assert f"warning: {warning}" in capsys.readouterr().out


def test_a_background_taken_for_an_object_is_a_warning(tmp_path: Path) -> None:
    write_frame(tmp_path, "learn0")
    write_png(tmp_path / "annotation" / "learn0.png", np.full(SIZE, 7, np.uint8))
    _, check = run_check(tmp_path, tmp_path / "out")
    assert check["warnings"] == ["learn0: instance 7 covers 100% of the image"]


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("odd", (), "unknown data set 'odd'"),
        ("osd", ("--split", "val"), "unknown split 'val' of osd; there are: learn, test"),
        ("osd", ("--samples", "0"), "--samples must be at least 1"),
        ("ocid", (), "no folder ARID20, ARID10 or YCB10"),
    ],
)
def test_wrong_arguments_are_named_in_one_line(
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    more: tuple[str, ...],
    message: str,
) -> None:
    code, check = run_check(root, tmp_path / "out", *more, name=name)
    assert (code, check) == (2, {})
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_real_frames_have_no_warning(shared_data: Path, tmp_path: Path) -> None:
    code, check = run_check(shared_data / "mosd_learn", tmp_path, "--samples", "3", name="mosd")
    assert code == 0
    assert check["counts"] == {"test": 45}
    assert [frame["name"] for frame in check["frames"]] == ["learn0", "learn22", "learn44"]
    assert check["warnings"] == []


@pytest.mark.parametrize("action", ["check", "depth", "loader"])
def test_every_action_explains_itself(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["data", action, "--help"])
    assert f"usage: repsam data {action}" in capsys.readouterr().out


def test_actions_run_their_own_file(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = ["--against", str(tmp_path / "nothing.json")]
    assert main(["data", "depth", "osd", str(root), "--out", str(tmp_path), *beside]) == 2
    assert "nothing.json" in capsys.readouterr().err
    assert main(["data", "loader", "osd", str(root), "--runs", "0"]) == 2
    assert "--runs and --batches" in capsys.readouterr().err
