"""A bag through the running nodes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from repsam_ros.errors import DatasetError
from repsam_ros.evaluation.replay import replay_bag
from repsam_ros.perception.pipeline import open_pipeline
from repsam_ros.ros.bag_player import play_bag
from repsam_ros.ros.live_replay import replay_through_nodes
from repsam_ros.ros.processes import ProcessError, wait_until
from repsam_ros.ros.session import environment_set, private_environment

pytestmark = pytest.mark.ros


def test_live_and_offline_replay_give_the_same_label_maps_and_lose_no_frame(
    small_bag: Path, tmp_path: Path
) -> None:
    live = replay_through_nodes(small_bag, tmp_path / "live")
    offline = replay_bag(small_bag, tmp_path / "offline", open_pipeline())
    assert live["frames_in_bag"] == live["pairs"] == live["published"] == 4
    assert (live["lost"], live["dropped"]) == (0, {})
    assert live["received"] == offline["received"] == {"color": 4, "depth": 4}
    assert live["frames"] == offline["frames"]
    assert live["backend"] == offline["backend"]
    names = [path.name for path in sorted((tmp_path / "offline" / "labels").iterdir())]
    assert len(names) == 4
    for name in names:
        expected = (tmp_path / "offline" / "labels" / name).read_bytes()
        assert (tmp_path / "live" / "labels" / name).read_bytes() == expected
        assert (tmp_path / "live" / "overlays" / name).with_suffix(".jpg").is_file()
    assert json.loads((tmp_path / "live" / "summary.json").read_text()) == live


def test_node_that_cannot_start_is_reported_with_its_reason(
    small_bag: Path, tmp_path: Path
) -> None:
    with pytest.raises(ProcessError, match="no_such_model"):
        replay_through_nodes(small_bag, tmp_path, model="no_such_model")
    assert not (tmp_path / "summary.json").exists()


def test_terminated_it_takes_its_nodes_along(small_bag: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "repsam_ros.cli.main", "replay", str(small_bag), "--ros"]
    with subprocess.Popen([*command, "--out", str(tmp_path)], stderr=subprocess.PIPE) as replay:
        children = Path(f"/proc/{replay.pid}/task/{replay.pid}/children")
        wait_until(lambda: bool(children.read_text()), 120, "a node")
        nodes = [Path("/proc") / pid for pid in children.read_text().split()]
        replay.terminate()
        assert replay.wait(60) == 143
    assert nodes and not any(node.exists() for node in nodes)


def test_player_names_the_topics_that_no_one_hears(small_bag: Path) -> None:
    with (
        environment_set(private_environment()),
        pytest.raises(ProcessError, match="no subscriber on /camera/color/image_raw"),
    ):
        play_bag(small_bag, wait_s=0.5)


def test_player_names_a_missing_bag(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such bag"):
        play_bag(tmp_path / "none")
