"""A replay and the perception node are told the same things."""

from __future__ import annotations

import pytest

from repsam_ros.config import build_config
from repsam_ros.errors import ConfigError
from repsam_ros.node_parameters import COMMON_PARAMETERS
from repsam_ros.perception.parameters import PARAMETERS
from repsam_ros.replay.config import ReplayConfig, replay_content

NODE = "/robot/perception"
# They change no label map, or the bag says them.
LEFT_OUT = {
    *(item.name for item in COMMON_PARAMETERS),
    *(item.name for item in PARAMETERS if item.name.startswith("qos.")),
    "backend_swap",
    *("target_frame", "gravity_frame", "workspace.enabled", "workspace.low_m", "workspace.high_m"),
    *("color_transport", "depth_transport", "depth_info_topic"),
}


def config_of(values):
    content = {"bag": "bag", **replay_content(values, NODE)}
    return build_config(ReplayConfig, content, "test")


def other(item):
    """A value that is not the default, but near: some are checked against each other."""
    if isinstance(item.default, bool):
        return not item.default
    if isinstance(item.default, str):
        return next((choice for choice in item.choices if choice != item.default), "other")
    return item.default + 1 if isinstance(item.default, int) else 0.999 * item.default or 0.001


def test_every_parameter_that_makes_a_label_map_reaches_the_replay_and_comes_back() -> None:
    shared = [item for item in PARAMETERS if item.name not in LEFT_OUT]
    assert len(shared) > 20
    assert config_of({}).node_parameters() == {item.name: item.default for item in shared}
    for item in shared:
        values = {item.name: other(item)}
        assert config_of(values).node_parameters() == {
            **{same.name: same.default for same in shared},
            **values,
        }


def test_what_a_bag_has_no_part_in_changes_nothing() -> None:
    values = {"target_frame": "base", "workspace.enabled": True, "qos.depth": 7, "autostart": True}
    assert config_of(values) == config_of({})


def test_topics_and_transports_of_the_node_are_looked_for_in_the_bag() -> None:
    config = config_of({"depth_info_topic": "depth/camera_info", "color_transport": "compressed"})
    assert config.topics.depth_info == "/robot/depth/camera_info"
    assert config.topics.color_transport == "compressed"
    assert config_of({"depth_info_topic": "/d/info"}).topics.depth_info == "/d/info"
    private = config_of({"depth_info_topic": "~/info"}).topics.depth_info
    assert private == "/robot/perception/info"


def test_numbers_are_handed_on_as_ros_wants_them() -> None:
    values = build_config(ReplayConfig, {"bag": "b", "slop_s": 0}, "test").node_parameters()
    assert isinstance(values["slop_s"], float)
    assert isinstance(values["frame_step"], int)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"slop_s": 0.6}, "slop_s must be from 0 to 0.5"),
        ({"frame_step": 0}, "frame_step must be from 1"),
        ({"depth_scale_m": -1.0}, "depth_scale_m must be from 0"),
        ({"topics": {"color_transport": "zip"}}, "raw or compressed"),
    ],
)
def test_what_the_node_refuses_is_refused(content, message) -> None:
    with pytest.raises(ConfigError, match=message):
        build_config(ReplayConfig, {"bag": "b", **content}, "test")
