"""Camera -> instance masks -> object clouds."""

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import OpaqueFunction

from repsam_ros.camera_topics import camera_topics
from repsam_ros.ros.launching import (
    common_arguments,
    lifecycle_node,
    rviz_and_record,
    value,
)


def start_perception(context: LaunchContext) -> list[Action]:
    overrides = {key: value(context, key) for key in ("backend", "model", "device")}
    overrides["qos.reliability"] = value(context, "reliability")
    camera, topics = value(context, "camera"), camera_topics(value(context, "camera_type"))
    overrides |= topics.parameters(camera)
    return lifecycle_node(
        context,
        executable="perception_node",
        name="perception",
        params_file=value(context, "params_file"),
        overrides=overrides,
        remappings=list(topics.remappings(camera).items()),
    )


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            *common_arguments(),
            OpaqueFunction(function=start_perception),
            OpaqueFunction(function=rviz_and_record),
        ]
    )
