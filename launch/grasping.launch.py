"""Camera -> instance masks -> object clouds -> grasps."""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource

from repsam_ros.ros.launching import config_file, lifecycle_node, value

PERCEPTION = Path(__file__).parent / "perception.launch.py"


def start_planner(context: LaunchContext) -> list[Action]:
    return lifecycle_node(
        context,
        executable="grasp_planner_node",
        name="grasp_planner",
        params_file=value(context, "planner_params_file"),
        overrides={},
        remappings=[],
    )


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "planner_params_file",
                default_value=config_file("grasp_planner.yaml"),
                description="ROS parameters of the grasp planner node.",
            ),
            IncludeLaunchDescription(PythonLaunchDescriptionSource(str(PERCEPTION))),
            OpaqueFunction(function=start_planner),
        ]
    )
