from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import rclpy
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.context import Context
from rclpy.node import Node

from repsam_ros.errors import ConfigError
from repsam_ros.grasping.planners.antipodal import Config as AntipodalConfig
from repsam_ros.node_parameters import (
    COMMON_PARAMETERS,
    Parameter,
    build_settings,
    flat,
    read_parameters,
    settings_parameters,
)
from repsam_ros.perception import parameters as perception_parameters
from repsam_ros.perception.pipeline import PipelineSettings
from repsam_ros.ros import grasp_planner_parameters
from repsam_ros.ros.session import environment_set, private_environment

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
    stated = flat(content[f"/**/{node}"]["ros__parameters"])
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


def test_a_list_without_an_item_is_no_default() -> None:
    with pytest.raises(ConfigError, match="corners: .*empty list"):
        Parameter("corners", [], "Corners.")


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    with environment_set(private_environment()):
        context = Context()
        rclpy.init(context=context)
        yield context
        context.try_shutdown()


SECTIONS = (
    *("/**", "/**/perception", "/*/perception", "/repsam/*", "/repsam/**", "/a/repsam/perception"),
    *("perception", "/perception", "repsam/perception", "/repsam/perception", "/x/perception"),
)
ITEMS = st.sampled_from(
    ["model: other", "slop_s: 0.1", "slop_s: 1e-2", "masks.min_score: 0.25", "region.x: 7"]
    + ["masks: {min_score: 0.125, max_prompts.x: 1}", "backend_swap: false", "model: '7'"]
)


@settings(max_examples=25, deadline=None)
@given(
    namespace=st.sampled_from(["/repsam", "/", "/a/repsam"]),
    sections=st.lists(
        st.tuples(st.sampled_from(SECTIONS), st.lists(ITEMS, min_size=1, max_size=3, unique=True)),
        min_size=1,
        max_size=4,
        unique_by=lambda section: section[0],
    ),
)
def test_a_file_says_the_same_with_and_without_ros(
    context: Context,
    tmp_path_factory: pytest.TempPathFactory,
    namespace: str,
    sections: list[tuple[str, list[str]]],
) -> None:
    lines = []
    for name, items in sections:
        lines += [f"{name}:", "  ros__parameters:", *(f"    {item}" for item in items)]
    file = tmp_path_factory.mktemp("parameters") / "file.yaml"
    file.write_text("\n".join(lines) + "\n")
    arguments = ["--ros-args", "--params-file", str(file)]
    node = Node("perception", namespace=namespace, context=context, cli_args=arguments)
    taken = {name: item.value for name, item in node._parameter_overrides.items()}
    name = node.get_fully_qualified_name()
    node.destroy_node()
    taken.pop("use_sim_time", None)
    declared = [Parameter(name, value, name) for name, value in taken.items()]
    if taken:
        assert read_parameters(file, name, declared) == taken
    else:
        with pytest.raises(ConfigError, match=f"nothing for {name}"):
            read_parameters(file, name, declared)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slop: 0.1", "unknown parameter slop; there are: .*slop_s"),
        ("slop_s: 1", "slop_s must be like 0.03, got 1"),
        ("slop_s: 0.7", "slop_s must be from 0 to 0.5, got 0.7"),
        ("depth_transport: zip", "depth_transport must be one of raw, compressed"),
        ("workspace: {low_m: [0.1, 1, 0.0]}", "workspace.low_m must be like"),
    ],
)
def test_a_file_that_the_node_would_refuse_is_refused_without_ros(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(f"/**/perception:\n  ros__parameters:\n    {text}\n")
    with pytest.raises(ConfigError, match=message):
        read_parameters(file, "/repsam/perception", perception_parameters.PARAMETERS)
