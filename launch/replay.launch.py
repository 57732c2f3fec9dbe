"""Recorded bag -> perception (-> grasp planner); ends a moment after the bag."""

from pathlib import Path

from launch import Event, LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
)
from launch.condition import Condition
from launch.conditions import IfCondition, UnlessCondition
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import StateTransition
from launch_ros.substitutions import ExecutableInPackage

from repsam_ros.ros.launching import BOOLEANS, RELIABILITIES, value

LAUNCH = Path(__file__).parent
LAST_FRAME_S = 5.0  # what the nodes get to finish the last frame


def nodes_from(file: str, condition: Condition) -> IncludeLaunchDescription:
    """An include of its own for each choice: --show-args then finds the arguments of both."""
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(LAUNCH / file)), condition=condition
    )


def play_when_active(context: LaunchContext) -> list[Action]:
    """Starts the player once perception listens, so that no frame of the bag is lost."""
    command = [
        ExecutableInPackage("repsam", "repsam_ros"),
        *("bag", "play", value(context, "bag")),
        *("--rate-factor", value(context, "rate_factor")),
        *(["--loop"] if value(context, "loop") == "true" else []),
        # Known when the player starts: the nodes' launch files declare them.
        *("--camera", LaunchConfiguration("camera")),
        *("--camera-type", LaunchConfiguration("camera_type")),
    ]
    end = TimerAction(
        period=LAST_FRAME_S, actions=[EmitEvent(event=Shutdown(reason="the bag has ended"))]
    )
    player = ExecuteProcess(cmd=command, output="screen", on_exit=[end])

    def perception_is_active(event: Event) -> bool:
        return (
            isinstance(event, StateTransition)
            and event.goal_state == "active"
            and event.action.node_name.endswith("/perception")
        )

    return [
        RegisterEventHandler(
            OnStateTransition(matcher=perception_is_active, entities=[player], handle_once=True)
        )
    ]


def generate_launch_description() -> LaunchDescription:
    planner = LaunchConfiguration("planner")
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="Folder of the recorded bag."),
            DeclareLaunchArgument(
                "planner",
                default_value="false",
                choices=BOOLEANS,
                description="Plan grasps as well.",
            ),
            DeclareLaunchArgument(
                "rate_factor", default_value="1.0", description="Times the recorded rate."
            ),
            DeclareLaunchArgument(
                "loop",
                default_value="false",
                choices=BOOLEANS,
                description="Start the bag again at its end.",
            ),
            DeclareLaunchArgument(
                "reliability",
                default_value="reliable",
                choices=RELIABILITIES,
                description="QoS of the camera's subscriptions; reliable loses no frame.",
            ),
            OpaqueFunction(function=play_when_active),
            nodes_from("grasping.launch.py", IfCondition(planner)),
            nodes_from("perception.launch.py", UnlessCondition(planner)),
        ]
    )
