"""What the launch files share: arguments, the camera's topics, lifecycle nodes, RViz, recording.

Every function with a ``context`` is meant for ``OpaqueFunction``: an argument that is left
empty must not override what the parameters file says, and substitutions cannot leave out a value.
"""

from __future__ import annotations

from pathlib import Path

from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    LogInfo,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessStart
from launch.events import matches_action
from launch.launch_context import LaunchContext
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from repsam_ros.node_parameters import RELIABILITIES
from repsam_ros.paths import share_dir

BOOLEANS = ["true", "false"]
LOG_LEVELS = ["debug", "info", "warn", "error", "fatal"]


def backend_names() -> list[str]:
    """Names of the run-time backends: one file each."""
    folder = Path(__file__).parents[1] / "backends"
    return sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_"))


def config_file(name: str) -> str:
    """Path of a file in the installed ``config/``."""
    return str(share_dir() / "config" / name)


def common_arguments() -> list[DeclareLaunchArgument]:
    """The arguments of every launch file of this package."""
    return [
        DeclareLaunchArgument(
            "namespace", default_value="repsam", description="Namespace of the nodes."
        ),
        DeclareLaunchArgument(
            "camera",
            default_value="camera",
            description="Namespace of the camera's topics; realsense2_camera 4.55 and later "
            "publishes under camera/camera.",
        ),
        DeclareLaunchArgument(
            "camera_type",
            default_value="realsense",
            description="How the camera's topics are called: a name in config/cameras (kinect, "
            "oak, realsense, xtion), or the path of such a file.",
        ),
        DeclareLaunchArgument(
            "params_file",
            default_value=config_file("perception.yaml"),
            description="ROS parameters of the perception node.",
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="false",
            choices=BOOLEANS,
            description="Follow /clock instead of the system's time.",
        ),
        DeclareLaunchArgument(
            "autostart",
            default_value="true",
            choices=BOOLEANS,
            description="Configure and activate the nodes; false leaves that to a manager.",
        ),
        DeclareLaunchArgument(
            "log_level", default_value="info", choices=LOG_LEVELS, description="Of the nodes."
        ),
        DeclareLaunchArgument(
            "backend",
            default_value="",
            choices=["", *backend_names()],
            description="Run-time backend; empty: as in params_file.",
        ),
        DeclareLaunchArgument(
            "model",
            default_value="",
            description="Name in models/manifest.yaml or path of weights; empty: as in "
            "params_file.",
        ),
        DeclareLaunchArgument(
            "device",
            default_value="",
            description="cpu, cuda or cuda:N; empty: as in params_file.",
        ),
        DeclareLaunchArgument(
            "reliability",
            default_value="",
            choices=["", *RELIABILITIES],
            description="QoS of the camera's subscriptions; empty: as in params_file.",
        ),
        DeclareLaunchArgument(
            "rviz", default_value="false", choices=BOOLEANS, description="Open RViz."
        ),
        DeclareLaunchArgument(
            "record",
            default_value="",
            description="Folder of a new bag with the camera's and the nodes' topics; "
            "empty: no bag.",
        ),
    ]


def value(context: LaunchContext, name: str) -> str:
    """The value of a launch argument."""
    return str(LaunchConfiguration(name).perform(context))


def lifecycle_node(
    context: LaunchContext,
    executable: str,
    name: str,
    params_file: str,
    overrides: dict[str, str],
    remappings: list[tuple[str, str]],
) -> list[Action]:
    """A lifecycle node of this package, with the events that start it when ``autostart`` is set.

    Args:
        overrides: Parameters on top of ``params_file``; empty values are left out.
    """
    parameters: dict[str, object] = {key: text for key, text in overrides.items() if text}
    parameters["use_sim_time"] = value(context, "use_sim_time") == "true"
    node = LifecycleNode(
        package="repsam_ros",
        executable=executable,
        name=name,
        namespace=value(context, "namespace"),
        parameters=[params_file, parameters],
        remappings=remappings,
        arguments=["--ros-args", "--log-level", value(context, "log_level")],
        output="screen",
    )
    if value(context, "autostart") != "true":
        return [node]
    # The handlers stand before the node, so that no transition is missed.
    return [*_autostart(node, name), node]


def _autostart(node: LifecycleNode, name: str) -> list[Action]:
    def change(transition: int) -> EmitEvent:
        return EmitEvent(
            event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
        )

    def on_transition(start: str, goal: str, action: Action) -> RegisterEventHandler:
        return RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=node, start_state=start, goal_state=goal, entities=[action]
            )
        )

    failed = f"{name}: configure failed, the node stays unconfigured; its log says why"
    return [
        RegisterEventHandler(
            OnProcessStart(target_action=node, on_start=[change(Transition.TRANSITION_CONFIGURE)])
        ),
        on_transition("configuring", "inactive", change(Transition.TRANSITION_ACTIVATE)),
        on_transition("configuring", "unconfigured", LogInfo(msg=failed)),
    ]


def rviz_and_record(context: LaunchContext) -> list[Action]:
    """RViz and the bag recorder, each when its argument asks for it."""
    actions: list[Action] = []
    if value(context, "rviz") == "true":
        arguments = ["-d", config_file("repsam.rviz")]
        actions.append(Node(package="rviz2", executable="rviz2", arguments=arguments))
    bag = value(context, "record")
    if bag:
        roots = "|".join(value(context, name).strip("/") for name in ("camera", "namespace"))
        command = ["ros2", "bag", "record", "--output", bag, "--regex", f"^/({roots})/"]
        actions.append(ExecuteProcess(cmd=command, output="screen"))
    return actions
