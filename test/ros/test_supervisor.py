"""``repsam run`` and ``repsam demo`` as a user starts them."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from repsam_ros.errors import ConfigError
from repsam_ros.ros.processes import ProcessGroup, wait_until
from repsam_ros.ros.session import private_environment
from repsam_ros.ros.supervisor import RunSettings

PATIENCE_S = 300.0


def repsam(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "repsam_ros.cli.main", *arguments]


def test_command_follows_the_settings(tmp_path: Path) -> None:
    settings = RunSettings(camera="/camera/camera/", parameters={"perception": {"device": "cuda"}})
    command = " ".join(settings.command("perception"))
    assert "color/image_raw:=/camera/camera/color/image_raw" in command
    assert "-p device:=cuda" in command and "__ns:=/repsam" in command
    assert "color/image_raw" not in " ".join(settings.command("grasp_planner"))
    oak = " ".join(RunSettings(camera="oak", camera_type="oak").command("perception"))
    assert "aligned_depth_to_color/image_raw:=/oak/stereo/image_raw" in oak
    assert "-p depth_info_topic:=/oak/stereo/camera_info" in oak
    assert settings.full_name("perception") == "/repsam/perception"
    assert RunSettings(namespace="/").full_name("perception") == "/perception"
    with pytest.raises(ConfigError, match="unknown node 'camera'"):
        RunSettings(nodes=("camera",))
    with pytest.raises(ConfigError, match="no.yaml"):
        RunSettings(params_file=tmp_path / "no.yaml")


@pytest.mark.ros
def test_run_brings_the_nodes_up_and_ends_cleanly() -> None:
    with ProcessGroup(private_environment()) as group:
        child = group.start("run", repsam("run", "--set", "perception.threads=1"))
        for node in ("perception", "grasp_planner"):
            line = f"/repsam/{node} is active"
            wait_until(lambda line=line: line in child.lines, PATIENCE_S, line, child.check)
        child.send(signal.SIGINT)
        child.send(signal.SIGINT)
        assert child.wait(60) == 0, child.last_words()


@pytest.mark.ros
def test_run_names_an_unknown_key_of_the_parameter_file(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("/**/grasp_planner:\n  ros__parameters:\n    frictoin: 0.5\n")
    with ProcessGroup(private_environment()) as group:
        child = group.start(
            "run", repsam("run", "--node", "grasp_planner", "--params", str(params))
        )
        assert child.wait(PATIENCE_S) == 2
        assert "unknown parameter frictoin" in child.last_words()


@pytest.mark.ros
def test_demo_fails_where_nothing_comes_out(tmp_path: Path) -> None:
    """The parameters of the demo are fixed, so the bag has to be of nothing."""
    from repsam_ros.bags import write_bag

    bag, out = tmp_path / "bag", tmp_path / "out"
    write_bag(bag, [_flat_wall(), _flat_wall()], rate_hz=1.0)
    with ProcessGroup() as group:
        child = group.start("demo", repsam("demo", "--bag", str(bag), "--out", str(out)))
        assert child.wait(PATIENCE_S) == 2
        assert "no instances came out" in child.last_words()
    summary = json.loads((out / "summary.json").read_text())
    assert summary["instances"] == 0 and summary["frames_in_bag"] == 2


def _flat_wall() -> Any:
    from types import SimpleNamespace

    import numpy as np

    from repsam_ros.structures import Intrinsics, RgbdFrame

    color = np.full((120, 160, 3), 128, np.uint8)
    depth_m = np.full((120, 160), 0.7, np.float32)
    camera = Intrinsics(150.0, 150.0, 79.5, 59.5, 160, 120)
    return SimpleNamespace(name="wall", frame=RgbdFrame(color, depth_m, camera))
