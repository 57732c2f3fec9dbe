"""Parameters of the nodes as plain data: what there is, what a file says, settings from them."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from repsam_ros.config import build_config, read_yaml
from repsam_ros.errors import ConfigError

Settings = TypeVar("Settings")
Change = Literal["live", "unconfigured", "never"]

RELIABILITIES = ("best_effort", "reliable")
_IN_FILE = "ros__parameters"
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

    Raises:
        ConfigError: The default is an empty list, whose type ROS cannot know.
    """

    name: str
    default: Any
    description: str
    change: Change = "live"
    bounds: tuple[float, float] | None = None
    choices: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        if self.default == []:
            raise ConfigError(f"{self.name}: an empty list is no default, ROS cannot tell its type")

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


COMMON_PARAMETERS = (
    Parameter(
        "autostart",
        False,
        "Configure and activate without a launch file or a lifecycle manager.",
        "never",
    ),
    Parameter(
        "max_waiting",
        1,
        "Frames that may wait, older ones are dropped: 1 on a robot, more to evaluate every frame.",
        "unconfigured",
        (1, 100_000),
    ),
    Parameter(
        "max_silence_s",
        2.0,
        "Diagnostics name an input that was silent for this long.",
        bounds=(0.1, 3600.0),
    ),
)


def qos_parameters(reliability: str) -> tuple[Parameter, ...]:
    """Quality of service of a node; ``reliability`` is the default."""
    return (
        Parameter(
            "qos.reliability",
            reliability,
            "Of the input subscriptions.",
            "unconfigured",
            choices=RELIABILITIES,
        ),
        Parameter("qos.depth", 5, "Of the input subscriptions.", "unconfigured", (1, 1000)),
        Parameter("qos.output_depth", 5, "Of the publishers.", "unconfigured", (1, 1000)),
    )


def check_names(given: Iterable[str], parameters: Sequence[Parameter], source: str) -> None:
    """ROS ignores parameters that no one declares: a typing error in a file would go unnoticed.

    Raises:
        ConfigError: A name that does not exist; lists those that do.
    """
    known = {item.name for item in parameters}
    unknown = sorted(name for name in given if name not in known and not name.startswith(_FOREIGN))
    if unknown:
        raise ConfigError(
            f"{source}: unknown parameter {', '.join(unknown)};"
            f" there are: {', '.join(sorted(known))}"
        )


def read_parameters(path: Path, node: str, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """What a ROS parameters file says to a node, by dotted name, as ROS itself would take it.

    Args:
        node: Its full name, such as ``/repsam/perception``.

    Raises:
        ConfigError: The file cannot be read, says nothing to the node, or names a parameter that
            does not exist or a value that the node would refuse.
    """
    sections = list(_sections(read_yaml(path), ""))
    # Later sections win, however general.
    found = [content for pattern, content in sections if _names(pattern, node)]
    if not found:
        there = ", ".join(dict.fromkeys(pattern for pattern, _ in sections)) or "none"
        raise ConfigError(f"{path}: nothing for {node}; there is: {there}")
    values: dict[str, Any] = {}
    for content in found:
        values |= flat(content)
    check_names(values, parameters, str(path))
    given = [item for item in parameters if item.name in values]
    for item in given:
        value = values[item.name]
        if not _is_alike(value, item.default):
            raise ConfigError(f"{path}: {item.name} must be like {item.default!r}, got {value!r}")
        if reason := item.problem(value):
            raise ConfigError(f"{path}: {reason}")
    return {item.name: values[item.name] for item in given}


def flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A tree of values by dotted name."""
    values: dict[str, Any] = {}
    for key, value in content.items():
        inner = isinstance(value, Mapping)
        values |= flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return values


def _is_alike(value: Any, default: Any) -> bool:
    """Whether ROS takes a value where the default is of this type: 1 is no 1.0 there."""
    if isinstance(default, list):
        return isinstance(value, list) and all(_is_alike(item, default[0]) for item in value)
    return type(value) is type(default)


def _sections(content: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Patterns of full names of nodes, with their parameters."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            if key == _IN_FILE:
                yield name, value
            else:
                yield from _sections(value, f"{name}/{str(key).lstrip('/')}")


def _names(pattern: str, node: str) -> bool:
    """Whether a pattern, ``*`` for one part and ``**`` for any number, names a node."""
    parts = {"*": r"/\w+", "**": r"(/\w+)*"}
    pieces = (parts.get(part, re.escape(f"/{part}")) for part in pattern.split("/")[1:])
    return re.fullmatch("".join(pieces), node) is not None


def _attribute_texts(cls: type) -> dict[str, str]:
    """Texts of the ``Attributes:`` sections of a dataclass and its bases, by name."""
    texts: dict[str, str] = {}
    for base in filter(dataclasses.is_dataclass, reversed(cls.__mro__)):
        _, _, section = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")
        section = re.split(r"\n\n?\S", section)[0]
        entries = re.findall(r"^    (\w+): ((?:.|\n(?=     ))+)", section, re.MULTILINE)
        texts |= {name: " ".join(text.split()) for name, text in entries}
    return texts
