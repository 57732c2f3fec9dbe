"""Parameters on a node: declared once with description and range, checked with a reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

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


def refuse_unknown_types(node: Node) -> None:
    """Makes the node's parameter services answer a value of a type that ROS does not know.

    rclpy raises a ValueError there, which ends whoever spins the node.
    """
    services: list[Any] = list(node.services)
    for service in services:
        if service.srv_type is SetParameters:
            service.callback = partial(_set_one_by_one, service.callback)
        elif service.srv_type is SetParametersAtomically:
            service.callback = partial(_set_together, service.callback)


def _set_one_by_one(serve: Callable[[Any, Any], Any], request: Any, response: Any) -> Any:
    for item in request.parameters:
        if reason := _unknown_type(item):
            response.results.append(SetParametersResult(successful=False, reason=reason))
        else:
            serve(SetParameters.Request(parameters=[item]), response)
    return response


def _set_together(serve: Callable[[Any, Any], Any], request: Any, response: Any) -> Any:
    reasons = [reason for item in request.parameters if (reason := _unknown_type(item))]
    if not reasons:
        return serve(request, response)
    response.result = SetParametersResult(successful=False, reason="; ".join(reasons))
    return response


def _unknown_type(item: Any) -> str:
    if item.value.type in [kind.value for kind in RosParameter.Type]:
        return ""
    return f"{item.name}: there is no parameter type {item.value.type}"
