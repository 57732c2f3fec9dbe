from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from repsam_ros.errors import ConfigError
from repsam_ros.grasping.planners.antipodal import Config as AntipodalConfig
from repsam_ros.perception.pipeline import PipelineSettings
from repsam_ros.ros import grasp_planner_parameters, perception_parameters
from repsam_ros.ros.managed_node import COMMON_PARAMETERS
from repsam_ros.ros.parameters import Parameter, build_settings, settings_parameters

CONFIG = Path(__file__).resolve().parents[2] / "config"
NODES = {"perception": perception_parameters, "grasp_planner": grasp_planner_parameters}


@dataclass(frozen=True)
class Inner:
    """Nested.

    Attributes:
        lengths_m: Metres.
    """

    lengths_m: tuple[float, ...] = (0.1, 0.2)


@dataclass(frozen=True)
class Outer:
    """Two fields.

    Attributes:
        share: A share that is
            told in two lines.
        inner: See there.

    Raises:
        ConfigError: A share beyond 1.
    """

    share: float = 0.5
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.share > 1:
            raise ConfigError(f"share must not exceed 1, got {self.share}")


def test_settings_become_dotted_parameters_with_their_documentation() -> None:
    share, lengths = settings_parameters(Outer, {"share": (0.0, 1.0)})
    assert (share.name, share.default) == ("share", 0.5)
    assert share.description == "A share that is told in two lines."
    assert share.bounds == (0.0, 1.0)
    assert (lengths.name, lengths.default) == ("inner.lengths_m", [0.1, 0.2])


def test_settings_are_rebuilt_from_values() -> None:
    values = {"share": 0.25, "inner.lengths_m": [0.3], "unrelated": 1}
    assert build_settings(Outer, values) == Outer(0.25, Inner((0.3,)))
    with pytest.raises(ConfigError, match="share must not exceed 1, got 2.0"):
        build_settings(Outer, {**values, "share": 2.0})


@pytest.mark.parametrize("cls", [PipelineSettings, AntipodalConfig])
def test_defaults_survive_the_round_trip_and_every_parameter_is_explained(cls: type) -> None:
    parameters = list(settings_parameters(cls, {}))
    assert build_settings(cls, {item.name: item.default for item in parameters}) == cls()
    bare = [item.name for item in parameters if item.description == item.name.split(".")[-1]]
    assert not bare, f"no description in the docstring: {bare}"


@pytest.mark.parametrize("node", NODES)
def test_parameter_file_states_the_nodes_own_parameters_with_their_defaults(node: str) -> None:
    """Those of the core stay out: a copy here would override a default that moves on there."""
    content = yaml.safe_load((CONFIG / f"{node}.yaml").read_text())
    stated = _flat(content[f"/**/{node}"]["ros__parameters"])
    own = (*COMMON_PARAMETERS, *NODES[node].NODE_PARAMETERS)
    assert stated == {item.name: item.default for item in own}


@pytest.mark.parametrize("node", NODES)
def test_bounds_name_existing_parameters_and_hold_the_default(node: str) -> None:
    parameters = NODES[node].PARAMETERS
    assert set(NODES[node].SETTINGS_BOUNDS) <= {item.name for item in parameters}
    for item in parameters:
        assert item.problem(item.default) is None


def test_problem_names_parameter_limits_and_value() -> None:
    speed = Parameter("speed", 1.0, "Speed.", bounds=(0.0, 2.0))
    assert speed.problem(3.0) == "speed must be from 0 to 2, got 3.0"
    assert speed.problem(2.0) is None
    mode = Parameter("mode", "a", "Mode.", choices=("a", "b"))
    assert mode.problem("c") == "mode must be one of a, b, got 'c'"


def _flat(tree: dict, prefix: str = "") -> dict:
    result = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            result |= _flat(value, f"{prefix}{key}.")
        else:
            result[prefix + key] = value
    return result
