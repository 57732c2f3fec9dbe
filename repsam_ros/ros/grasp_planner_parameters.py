"""Parameters of the grasp planner node: its own, and each planner's under the planner's name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from repsam_ros.grasping.planners import Planner, open_planner, planner_config, planner_names
from repsam_ros.node_parameters import Parameter, nested, qos_parameters, settings_parameters

_BOUNDS = {
    "width_reserve_m": (0.001, 0.5),
    "min_points": (1, 10_000),
    "max_grasps_per_object": (1, 1000),
    "deadline_s": (0.0, 3600.0),
    "samples_per_object": (1, 1000),
    "max_points_per_object": (10, 100_000),
    "rolls": (1, 64),
    "max_tilt_rad": (0.0, 3.15),
    "friction": (0.01, 5.0),
    "unseen_credit": (0.0, 1.0),
    "max_checked_per_object": (1, 10_000),
}

NODE_PARAMETERS = (
    Parameter("planner", "antipodal", "What plans the grasps.", choices=planner_names()),
    Parameter("gripper", "panda", "Name in config/grippers/ or path of a YAML file."),
    *qos_parameters("reliable"),
)


def _planner_parameters() -> Iterator[Parameter]:
    for name in planner_names():
        for item in settings_parameters(planner_config(name), SETTINGS_BOUNDS, f"{name}."):
            # All planners work with the node's gripper.
            if not item.name.startswith(f"{name}.gripper."):
                yield item


SETTINGS_BOUNDS = {
    f"{name}.{field}": bounds
    for name in planner_names()
    for field, bounds in _BOUNDS.items()
    if hasattr(planner_config(name), field)
}
PARAMETERS = (*NODE_PARAMETERS, *_planner_parameters())


def planner_from(values: Mapping[str, Any]) -> Planner:
    """The planner that parameter values describe.

    Raises:
        ConfigError: A value, or values together, make no sense.
    """
    name = values["planner"]
    prefix = f"{name}."
    settings = nested(
        {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
    )
    return open_planner(name, {**settings, "gripper": values["gripper"]})
