from __future__ import annotations

import cv2
import numpy as np
import pytest

from repsam_ros.cli.main import main


@pytest.fixture
def mosd_root(tmp_path):
    root = tmp_path / "mosd"
    rng = np.random.default_rng(0)
    for index in range(3):
        images = {
            "rgb": rng.integers(0, 256, (48, 64, 3), np.uint8),
            "depth": rng.integers(500, 1500, (48, 64)).astype(np.uint16),
            "label": np.full((48, 64), 20, np.uint16),
        }
        for folder, image in images.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(root / folder / f"frame{index}.png"), image)
    return root


def make(root, out, *more):
    return main(["bag", "make", "--dataset", "mosd", "--root", str(root), "--out", str(out), *more])


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_made_bag_passes_its_check(mosd_root, tmp_path, capsys, storage):
    bag = tmp_path / "bag"
    assert make(mosd_root, bag, "--rate", "5", "--storage", storage) == 0
    assert main(["bag", "info", str(bag)]) == 0
    printed = capsys.readouterr().out
    assert storage in printed
    assert "9 messages in 0.4 s, 3 named frames" in printed
    assert main(["bag", "check", str(bag)]) == 0
    printed = capsys.readouterr().out
    assert "5 Hz" in printed
    assert "3  pairs, 3 usable frames" in printed


def test_second_make_wants_overwrite(mosd_root, tmp_path, capsys):
    bag = tmp_path / "bag"
    assert make(mosd_root, bag) == 0
    assert make(mosd_root, bag) == 2
    assert "exists already" in capsys.readouterr().err
    assert make(mosd_root, bag, "--overwrite") == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--dataset", "nothing"], "mosd"),
        (["--root", "absent"], "absent"),
        (["--rate", "0"], "rate"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(mosd_root, tmp_path, capsys, arguments, named):
    assert make(mosd_root, tmp_path / "bag", *arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert named in error


def test_check_of_a_corrupt_bag_names_it(mosd_root, tmp_path, capsys):
    bag = tmp_path / "bag"
    make(mosd_root, bag)
    (bag / "bag.db3").write_bytes(b"SQLite format 3\0 and no more")
    assert main(["bag", "check", str(bag)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(bag) in error


def test_check_says_which_topics_are_missing(mosd_root, tmp_path, capsys):
    bag = tmp_path / "bag"
    make(mosd_root, bag)
    assert main(["bag", "check", str(bag), "--depth-topic", "/d"]) == 2
    captured = capsys.readouterr()
    assert "no depth topic /d or" in captured.err
    assert "/camera/color/image_raw" in captured.out
