"""Grasp planners as peers: one file each, and its file name is its name.

A new planner is a new file here with a ``Config`` dataclass, which has a ``gripper``, and a
``build(config) -> Planner``. One that loads weights also has ``weights_sha256(config) -> str``.
Files that begin with an underscore are no planners.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol

from repsam_ros.config import build_config, to_plain
from repsam_ros.grasping.gripper import load_gripper
from repsam_ros.plugins import load_plugin, plugin_names
from repsam_ros.structures import Grasp, SceneCloud


@dataclass(frozen=True)
class PlanResult:
    """What planning on one cloud gave.

    Attributes:
        grasps: Best first.
        rejected: Number of candidates by cause: ``too_small`` (objects, not candidates),
            ``too_steep``, ``table``, ``too_wide``, ``too_few_points``, ``palm`` (held part longer
            than the fingers), ``not_antipodal``, ``hidden`` (a finger behind something else),
            ``workspace``, ``collision``, ``similar``.
        unfinished: Instances whose planning the deadline cut short.
    """

    grasps: list[Grasp]
    rejected: Counter[str] = field(default_factory=Counter)
    unfinished: tuple[int, ...] = ()


class Planner(Protocol):
    """Finds grasps on the objects of a cloud; equal input gives equal output.

    Only a deadline, where one is set, makes the output depend on the machine.
    """

    def __call__(self, cloud: SceneCloud, targets: Collection[int] | None = None) -> PlanResult:
        """Grasps in the frame of the cloud.

        Args:
            targets: Instance ids to plan for; all when None. Other objects stay obstacles.
        """


def planner_names() -> tuple[str, ...]:
    """What :func:`open_planner` knows."""
    return plugin_names(__name__)


def planner_config(name: str) -> type[Any]:
    """The settings dataclass of planner ``name``.

    Raises:
        ConfigError: No planner of that name; the message lists what exists.
    """
    config: type[Any] = _module(name).Config
    return config


def open_planner(name: str, settings: Mapping[str, Any] | None = None) -> Planner:
    """The planner ``name``.

    Args:
        settings: Fields of its ``Config`` as plain values; ``gripper`` may be a name in
            config/grippers/ or the path of a YAML file.

    Raises:
        ConfigError: No such planner, setting or gripper, or a value out of range.
        CheckpointError: The planner's weights are missing or not what they should be.
    """
    planner: Planner = _module(name).build(_settings(name, settings))
    return planner


def weights_sha256(name: str, settings: Mapping[str, Any] | None = None) -> str | None:
    """Hash of the weights that planner ``name`` would load, None where it has learned nothing.

    Raises:
        CheckpointError, ConfigError: As :func:`open_planner`.
    """
    module = _module(name)
    if not hasattr(module, "weights_sha256"):
        return None
    digest: str = module.weights_sha256(_settings(name, settings))
    return digest


def _settings(name: str, settings: Mapping[str, Any] | None) -> Any:
    values = dict(settings or {})
    if isinstance(gripper := values.get("gripper"), str):
        values["gripper"] = to_plain(load_gripper(gripper))
    return build_config(planner_config(name), values, f"planner {name}")


def _module(name: str) -> ModuleType:
    return load_plugin(__name__, "planner", name)
