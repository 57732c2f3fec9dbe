"""Node parameters: declared once with description and range, checked with a reason."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from repsam_ros.config import build_config
from repsam_ros.errors import ConfigError

Settings = TypeVar("Settings")
Change = Literal["live", "unconfigured", "never"]

_WHEN = {
    "live": "Takes effect with the next frame.",
    "unconfigured": "Can be changed while the node is unconfigured.",
    "never": "Fixed when the node starts.",
}
# Declared by rclpy itself.
_FOREIGN = ("use_sim_time", "start_type_description_service", "qos_overrides.")


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        description: What it means, with its unit.
        change: When it can be changed.
        bounds: Least and greatest value of a number.
        choices: The strings allowed.
    """

    name: str
    default: Any
    description: str
    change: Change = "live"
    bounds: tuple[float, float] | None = None
    choices: Sequence[str] = field(default=())

    def descriptor(self) -> ParameterDescriptor:
        """What ``ros2 param describe`` shows."""
        text = f"{self.description} {_WHEN[self.change]}"
        descriptor = ParameterDescriptor(description=text, read_only=self.change == "never")
        if self.choices:
            descriptor.additional_constraints = "one of: " + ", ".join(self.choices)
        if self.bounds is not None:
            low, high = self.bounds
            if isinstance(self.default, int):
                limits = IntegerRange(from_value=int(low), to_value=int(high), step=0)
                descriptor.integer_range = [limits]
            else:
                range_ = FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)
                descriptor.floating_point_range = [range_]
        return descriptor

    def problem(self, value: Any) -> str | None:
        """Why a value cannot be taken, None when it can."""
        if self.choices and value not in self.choices:
            return f"{self.name} must be one of {', '.join(self.choices)}, got {value!r}"
        if self.bounds is not None and not self.bounds[0] <= value <= self.bounds[1]:
            low, high = self.bounds
            return f"{self.name} must be from {low:g} to {high:g}, got {value!r}"
        return None


def settings_parameters(
    cls: type, bounds: Mapping[str, tuple[float, float]], prefix: str = ""
) -> Iterator[Parameter]:
    """One live parameter per field of a settings dataclass; nested ones get dotted names.

    Defaults and descriptions come from the dataclass and its docstring.
    """
    descriptions = _attribute_texts(cls)
    defaults = cls()
    for item in dataclasses.fields(cls):
        name, default = prefix + item.name, getattr(defaults, item.name)
        if dataclasses.is_dataclass(default):
            yield from settings_parameters(type(default), bounds, f"{name}.")
        else:
            value = list(default) if isinstance(default, tuple) else default
            text = descriptions.get(item.name, item.name)
            yield Parameter(name, value, text, bounds=bounds.get(name))


def build_settings(cls: type[Settings], values: Mapping[str, Any]) -> Settings:
    """The settings dataclass from parameter values by dotted name; others are left out.

    Raises:
        ConfigError: A value, or values together, make no sense.
    """
    known = [item.name for item in settings_parameters(cls, {})]
    return build_config(cls, nested({name: values[name] for name in known}), "parameters")


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values by dotted name as a tree."""
    content: dict[str, Any] = {}
    for name, value in values.items():
        *parents, leaf = name.split(".")
        node = content
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value if isinstance(value, bool | int | float | str) else list(value)
    return content


def declare(node: Node, parameters: Sequence[Parameter]) -> None:
    """Declares all of them.

    Raises:
        ConfigError: The node was given a parameter that it does not have, or a bad value.
    """
    for item in parameters:
        node.declare_parameter(item.name, item.default, item.descriptor())
        reason = item.problem(node.get_parameter(item.name).value)
        if reason:
            raise ConfigError(reason)
    # ROS ignores parameters that no one declares: a typing error in a file would go unnoticed.
    given = getattr(node, "_parameter_overrides", {})
    known = {item.name for item in parameters}
    unknown = sorted(name for name in given if name not in known and not name.startswith(_FOREIGN))
    if unknown:
        raise ConfigError(
            f"{node.get_fully_qualified_name()}: unknown parameter {', '.join(unknown)};"
            f" there are: {', '.join(sorted(known))}"
        )


def _attribute_texts(cls: type) -> dict[str, str]:
    """Texts of the ``Attributes:`` sections of a dataclass and its bases, by name."""
    texts: dict[str, str] = {}
    for base in filter(dataclasses.is_dataclass, reversed(cls.__mro__)):
        _, _, section = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")
        section = re.split(r"\n\n?\S", section)[0]
        entries = re.findall(r"^    (\w+): ((?:.|\n(?=     ))+)", section, re.MULTILINE)
        texts |= {name: " ".join(text.split()) for name, text in entries}
    return texts
