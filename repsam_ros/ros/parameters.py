"""Parameters on a node: declared once with description and range, checked with a reason."""

from __future__ import annotations

from collections.abc import Sequence

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from repsam_ros.errors import ConfigError
from repsam_ros.node_parameters import Parameter, check_names

_WHEN = {
    "live": "Takes effect with the next frame.",
    "unconfigured": "Can be changed while the node is unconfigured.",
    "never": "Fixed when the node starts.",
}


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """What ``ros2 param describe`` shows."""
    text = f"{parameter.description} {_WHEN[parameter.change]}"
    shown = ParameterDescriptor(description=text, read_only=parameter.change == "never")
    if parameter.choices:
        shown.additional_constraints = "one of: " + ", ".join(parameter.choices)
    if parameter.bounds is not None:
        low, high = parameter.bounds
        if isinstance(parameter.default, int):
            limits = IntegerRange(from_value=int(low), to_value=int(high), step=0)
            shown.integer_range = [limits]
        else:
            range_ = FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)
            shown.floating_point_range = [range_]
    return shown


def declare(node: Node, parameters: Sequence[Parameter]) -> None:
    """Declares all of them.

    Raises:
        ConfigError: The node was given a parameter that it does not have, or a bad value.
    """
    for item in parameters:
        node.declare_parameter(item.name, item.default, descriptor(item))
        reason = item.problem(node.get_parameter(item.name).value)
        if reason:
            raise ConfigError(reason)
    given = getattr(node, "_parameter_overrides", {})
    check_names(given, parameters, node.get_fully_qualified_name())
