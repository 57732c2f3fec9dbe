"""A bag through the running nodes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from repsam_ros.cli.main import main
from repsam_ros.errors import DatasetError
from repsam_ros.perception.pipeline import open_pipeline
from repsam_ros.replay.config import ReplayConfig
from repsam_ros.replay.run import replay_bag
from repsam_ros.ros.bag_player import play_bag
from repsam_ros.ros.live_replay import replay_through_nodes
from repsam_ros.ros.processes import ProcessError, wait_until
from repsam_ros.ros.session import environment_set, private_environment
from repsam_ros.structures import RgbdFrame

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


def robot_bag(ros: Any, path: Path, scene: RgbdFrame) -> Path:
    """Compressed color beside a black raw one, depth of half the size with a K of its own."""
    height, width = scene.depth_m.shape
    messages = []
    for index in range(5):
        stamp_ns = 10**9 + index * 400_000_000
        color = np.roll(scene.color, 6 * index, axis=1)
        depth_mm = np.roll(np.rint(1000 * scene.depth_m), 6 * index, axis=1).astype(np.uint16)
        png = cv2.imencode(".png", cv2.cvtColor(color, cv2.COLOR_RGB2BGR))[1]
        half = ros.camera_info(width // 2, height // 2, fx=75.0, stamp_ns=stamp_ns)
        messages += [
            ("/cam/depth_info", half),
            ("/cam/info", ros.camera_info(width, height, fx=150.0, stamp_ns=stamp_ns)),
            ("/cam/depth", ros.image(depth_mm[::2, ::2], "16UC1", stamp_ns=stamp_ns)),
            ("/cam/rgb", ros.image(0 * color, "rgb8", stamp_ns=stamp_ns)),
            (
                "/cam/rgb/compressed",
                ros.compressed_image(png, "rgb8; png compressed bgr8", stamp_ns=stamp_ns),
            ),
        ]
    return ros.record(path, messages)


def test_with_the_robots_parameters_live_and_offline_replay_give_the_same_label_maps(
    ros: Any, scene: RgbdFrame, tmp_path: Path
) -> None:
    bag = robot_bag(ros, tmp_path / "bag", scene)
    file = tmp_path / "robot.yaml"
    file.write_text(
        "/**/perception:\n  ros__parameters:\n"
        "    {threads: 1, slop_s: 0.02, max_rate_hz: 2.0, tracking: {enabled: true},\n"
        "    color_transport: compressed, depth_info_topic: /cam/depth_info,\n"
        "    region: {x: 8, y: 10, width: 140, height: 104}, masks: {min_score: 0.3},\n"
        "    qos: {reliability: best_effort}, target_frame: base_link}\n"
    )
    topics = ["--color-topic", "/cam/rgb", "--depth-topic", "/cam/depth", "--info-topic"]
    arguments = [*topics, "/cam/info", "--params", str(file), "--set", "pipeline.max_prompts=9"]
    for mode in ([], ["--ros"]):
        out = tmp_path / ("live" if mode else "offline")
        assert main(["replay", str(bag), "--out", str(out), *arguments, *mode]) == 0
    offline, live = (
        json.loads((tmp_path / name / "summary.json").read_text()) for name in ("offline", "live")
    )
    assert live["lost"] == 0
    assert offline["topics"]["color"] == "/cam/rgb/compressed"
    for key in ("topics", "received", "pairs", "published", "dropped", "frames", "backend"):
        assert live[key] == offline[key]
    assert offline["dropped"] == {"rate_limit": 1}
    assert min(frame["instances"] for frame in offline["frames"]) >= 3
    for kept in ("labels", "."):
        maps = sorted((tmp_path / "offline" / kept).glob("*.png" if kept == "labels" else "*.yaml"))
        assert len(maps) == (4 if kept == "labels" else 1)
        for path in maps:
            assert (tmp_path / "live" / kept / path.name).read_bytes() == path.read_bytes()


def test_node_that_cannot_start_is_reported_with_its_reason(
    small_bag: Path, tmp_path: Path
) -> None:
    with pytest.raises(ProcessError, match="no_such_model"):
        config = ReplayConfig(bag=str(small_bag), model="no_such_model")
        replay_through_nodes(small_bag, tmp_path, config)
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
