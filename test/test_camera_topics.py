"""Names of camera topics."""

from __future__ import annotations

from pathlib import Path

import pytest

from repsam_ros.camera_topics import camera_topics
from repsam_ros.errors import ConfigError


def test_a_realsense_has_the_names_of_the_node_itself():
    remappings = camera_topics("realsense").remappings("/camera/camera/")
    assert remappings == {name: f"/camera/camera/{name}" for name in remappings}
    assert camera_topics("realsense").parameters("camera") == {}


def test_depth_of_its_own_size_brings_its_camera_info():
    oak = camera_topics("oak")
    assert oak.parameters("oak") == {"depth_info_topic": "/oak/stereo/camera_info"}
    assert oak.remappings("oak")["aligned_depth_to_color/image_raw"] == "/oak/stereo/image_raw"


def test_a_camera_without_a_namespace():
    assert camera_topics("kinect").remappings("")["color/image_raw"] == "/rgb/image_raw"


def test_unknown_kinds_are_named_with_those_that_there_are(tmp_path: Path):
    with pytest.raises(ConfigError, match="kinect, oak, realsense, xtion"):
        camera_topics("webcam")
    own = tmp_path / "own.yaml"
    own.write_text("color: a\ndepth: b\ninfo: c\nimage: d\n")
    with pytest.raises(ConfigError, match="image"):
        camera_topics(str(own))
    own.write_text("color: a\ndepth: b\ninfo: c\n")
    assert camera_topics(str(own)).remappings("x")["color/camera_info"] == "/x/c"
