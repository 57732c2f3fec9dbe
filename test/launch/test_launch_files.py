"""The launch files, built and visited with the real ``launch`` where it is installed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from repsam_ros.cli._bag_topics import given_topics
from repsam_ros.cli.main import load_verb, verb_parser

LAUNCH = Path(__file__).parents[2] / "launch"
FILES = sorted(LAUNCH.glob("*.launch.py"))

COMMON = {
    "namespace",
    "camera",
    "camera_type",
    "params_file",
    "use_sim_time",
    "autostart",
    "log_level",
    "backend",
    "model",
    "device",
    "rviz",
    "record",
}


def load(name: str):
    """The launch description of a file."""
    # Not "launch": this repository's own folder answers to that name.
    pytest.importorskip("launch_ros", reason="needs launch and launch_ros, which ROS brings")
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    source = PythonLaunchDescriptionSource(str(LAUNCH / f"{name}.launch.py"))
    return source.try_get_launch_description_without_context()


def visit(description, arguments: dict[str, str], context=None) -> list:
    """All actions that a launch with these arguments leads to, without running any process."""
    from launch import LaunchContext
    from launch.actions import ExecuteProcess

    context = context or LaunchContext()
    context.launch_configurations.update(arguments)
    found, waiting = [], list(description.entities)
    while waiting:
        entity = waiting.pop(0)
        found.append(entity)
        if not isinstance(entity, ExecuteProcess):
            waiting = [*(entity.visit(context) or []), *waiting]
    return found


def nodes(actions: list) -> dict:
    from launch_ros.actions import LifecycleNode

    return {
        action.node_executable: action for action in actions if isinstance(action, LifecycleNode)
    }


def parameters(node) -> dict:
    """What the launch file sets on top of the parameters file."""
    from launch import LaunchContext
    from launch_ros.utilities import evaluate_parameters

    return evaluate_parameters(LaunchContext(), node._Node__parameters)[-1]


def test_there_are_three():
    assert [path.name.split(".")[0] for path in FILES] == ["grasping", "perception", "replay"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_says_what_it_starts(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert functions[-1] == "generate_launch_description"


@pytest.mark.parametrize("name", ["perception", "grasping"])
def test_every_argument_is_there_and_described(name):
    declared = {argument.name: argument for argument in load(name).get_launch_arguments()}
    assert declared.keys() >= COMMON
    assert all(argument.description for argument in declared.values())
    assert declared["rviz"].choices == declared["autostart"].choices == ["true", "false"]
    assert "warn" in declared["log_level"].choices
    assert "" in declared["backend"].choices


def test_an_argument_left_empty_leaves_the_parameters_file_alone():
    node = nodes(visit(load("perception"), {}))["perception_node"]
    assert parameters(node) == {"use_sim_time": False}


def test_arguments_override_the_parameters_file():
    arguments = {"model": "other", "device": "cuda:0", "use_sim_time": "true"}
    node = nodes(visit(load("perception"), arguments))["perception_node"]
    assert parameters(node) == {"model": "other", "device": "cuda:0", "use_sim_time": True}


def test_the_kind_of_camera_decides_on_the_topics():
    arguments = {"camera": "oak", "camera_type": "oak"}
    node = nodes(visit(load("perception"), arguments))["perception_node"]
    assert parameters(node)["depth_info_topic"] == "/oak/stereo/camera_info"


def test_grasping_adds_the_planner():
    actions = visit(load("grasping"), {})
    assert nodes(actions).keys() == {"perception_node", "grasp_planner_node"}


@pytest.mark.parametrize("planner", ["true", "false"])
def test_replay_waits_for_perception(planner):
    from_launch = visit(load("replay"), {"bag": "some/bag", "planner": planner})
    assert ("grasp_planner_node" in nodes(from_launch)) == (planner == "true")
    from launch.actions import ExecuteProcess
    from launch_ros.actions import Node

    processes = [action for action in from_launch if isinstance(action, ExecuteProcess)]
    assert all(isinstance(process, Node) for process in processes), "the player started at once"


@pytest.mark.parametrize(
    ("given", "topics"),
    [
        ({}, {"color": "/camera/color/image_raw"}),
        (
            {"camera": "front", "camera_type": "oak"},
            {"color": "/front/rgb/image_raw", "depth_info": "/front/stereo/camera_info"},
        ),
    ],
)
def test_replay_plays_the_topics_that_the_node_hears(given, topics):
    description = load("replay")
    from launch import LaunchContext
    from launch.actions import ExecuteProcess, RegisterEventHandler
    from launch.utilities import perform_substitutions
    from launch_ros.event_handlers import OnStateTransition

    context = LaunchContext()
    actions = visit(description, {"bag": "some/bag", "loop": "true", **given}, context)
    (player,) = (
        entity
        for action in actions
        if isinstance(action, RegisterEventHandler)
        and isinstance(action.event_handler, OnStateTransition)
        for entity in action.event_handler.entities
        if isinstance(entity, ExecuteProcess)
    )
    verb, *command = (perform_substitutions(context, part) for part in player.cmd[1:])
    args = verb_parser(verb, load_verb(verb)).parse_args(command)
    assert (args.action, args.bag, args.loop) == ("play", Path("some/bag"), True)
    assert given_topics(args).items() >= topics.items()


def test_replay_asks_for_every_frame():
    arguments = {"bag": "some/bag"}
    node = nodes(visit(load("replay"), arguments))["perception_node"]
    assert parameters(node)["qos.reliability"] == "reliable"


def test_an_unknown_choice_is_refused():
    description = load("perception")
    with pytest.raises(RuntimeError, match="log_level"):
        visit(description, {"log_level": "loud"})


def test_nothing_starts_by_itself_without_autostart():
    manual = visit(load("perception"), {"autostart": "false"})
    automatic = visit(load("perception"), {"autostart": "true"})
    from launch.actions import RegisterEventHandler

    assert not [action for action in manual if isinstance(action, RegisterEventHandler)]
    assert [action for action in automatic if isinstance(action, RegisterEventHandler)]
