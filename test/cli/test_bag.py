from __future__ import annotations

import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest

from repsam_ros.bags import BagTopics, bag_info, find_topics
from repsam_ros.cli._bag_topics import given_topics
from repsam_ros.cli.main import load_verb, main, verb_parser


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


def first_steps(verb):
    """What the guide tells to do with ``my_bag`` by this command, the bag left out."""
    text = (Path(__file__).parents[2] / "docs" / "first_steps.md").read_text()
    commands = re.findall(rf"^    (?:repsam )?{verb} (.*)$", text.replace("\\\n", ""), re.MULTILINE)
    words = (shlex.split(command, comments=True) for command in commands)
    return [[word for word in line if word != "my_bag"] for line in words if "my_bag" in line]


@pytest.fixture
def recorded_as_told(ros, tmp_path):
    """A bag with the topics that the guide records."""
    (names,) = first_steps("ros2 bag record")
    color, info, depth = (name for name in names if name.startswith("/"))
    messages = [
        (color, ros.image(np.full((48, 64, 3), 90, np.uint8), "rgb8")),
        (depth, ros.image(np.full((48, 64), 800, np.uint16), "16UC1")),
        (info, ros.camera_info(64, 48)),
    ]
    return ros.record(tmp_path / "told", messages)


def test_the_guides_commands_read_the_bag_that_the_guide_records(recorded_as_told, capsys):
    (arguments,) = first_steps("bag check")
    assert main(["bag", "check", str(recorded_as_told), *arguments]) == 0
    assert "1  pairs, 1 usable frames" in capsys.readouterr().out
    for name, count in (("bag play", 1), ("replay", 4)):
        commands = first_steps(name)
        assert len(commands) == count
        for command in commands:
            verb, *action = name.split()
            parser = verb_parser(verb, load_verb(verb))
            args = parser.parse_args([*action, str(recorded_as_told), *command])
            found = find_topics(bag_info(recorded_as_told), BagTopics(**given_topics(args)))
            assert found.color == "/camera/camera/color/image_raw"


def test_a_kind_of_camera_names_the_topics_and_single_ones_win(ros, tmp_path, capsys):
    messages = [
        ("/oak/rgb/image_raw", ros.image(np.full((48, 64, 3), 90, np.uint8), "rgb8")),
        ("/depth", ros.image(np.full((24, 32), 800, np.uint16), "16UC1")),
        ("/oak/rgb/camera_info", ros.camera_info(64, 48)),
        ("/oak/stereo/camera_info", ros.camera_info(32, 24, fx=250.0)),
    ]
    bag = ros.record(tmp_path / "bag", messages)
    check = ["bag", "check", str(bag), "--camera", "oak", "--camera-type"]
    assert main([*check, "oak", "--depth-topic", "/depth"]) == 0
    assert "1  pairs, 1 usable frames" in capsys.readouterr().out
    assert main([*check, "oak"]) == 2
    assert "no depth topic /oak/stereo/image_raw" in capsys.readouterr().err
    assert main([*check, "webcam"]) == 2
    assert "kinect, oak, realsense, xtion" in capsys.readouterr().err


def test_without_options_the_topics_are_those_of_bag_make():
    args = verb_parser("bag", load_verb("bag")).parse_args(["check", "some_bag"])
    assert BagTopics(**given_topics(args)) == BagTopics()
