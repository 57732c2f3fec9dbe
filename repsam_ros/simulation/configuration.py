"""What ``repsam simulate`` can be told about the data set it makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repsam_ros.config import apply_overrides, build_config, preset_path, read_yaml, to_plain
from repsam_ros.errors import ConfigError
from repsam_ros.simulation.photorealistic import PhotorealisticRenderer, TracingSettings
from repsam_ros.simulation.rendering import FastRenderer, Renderer, RenderSettings
from repsam_ros.simulation.scenes import SceneSettings
from repsam_ros.simulation.sensor import SensorSettings, load_sensor
from repsam_ros.simulation.twins import TWINS
from repsam_ros.simulation.views import ViewSettings

RENDERERS = ("fast", "photorealistic")
MAX_VIEWS = 100
MAX_SCENES = 1_000_000
# Training, tests and demonstrations settle scenes with seeds below this.
FIRST_SCENE_SEED = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class SimulateConfig:
    """A simulated data set; the same config gives the same bytes.

    Attributes:
        scenes: Number of settled scenes. May grow later, everything else may not change.
        seed: Of the data set.
        views: Pictures of each scene.
        size: (width, height), pixels.
        renderer: One of ``RENDERERS``.
        sensor_name: Which file of config/sensors/ the sensor started from.
        sensor: The depth sensor.
        twins: Which of :data:`repsam_ros.simulation.twins.TWINS` each frame gets.
        scene: From what scenes are drawn.
        view: From what cameras, rooms, materials and lights are drawn.
        render: What does not change from picture to picture.
        tracing: How the photorealistic renderer traces.
    """

    scenes: int
    seed: int
    sensor_name: str
    sensor: SensorSettings
    views: int = 4
    size: tuple[int, int] = (640, 480)
    renderer: str = "fast"
    twins: tuple[str, ...] = ()
    scene: SceneSettings = field(default_factory=SceneSettings)
    view: ViewSettings = field(default_factory=ViewSettings)
    render: RenderSettings = field(default_factory=RenderSettings)
    tracing: TracingSettings = field(default_factory=TracingSettings)

    def __post_init__(self) -> None:
        limits = (("scenes", self.scenes, MAX_SCENES), ("views", self.views, MAX_VIEWS))
        for name, value, most in limits:
            if not 1 <= value <= most:
                raise ConfigError(f"{name} must lie in 1..{most}, got {value}")
        if self.seed < 0:
            raise ConfigError(f"seed must not be negative, got {self.seed}")
        if min(self.size) < 16:
            raise ConfigError(f"size: expected 16 pixels or more each way, got {self.size}")
        if self.renderer not in RENDERERS:
            known = ", ".join(RENDERERS)
            raise ConfigError(f"unknown renderer {self.renderer!r}; there are: {known}")
        if unknown := [twin for twin in self.twins if twin not in TWINS]:
            raise ConfigError(f"unknown twin {unknown[0]!r}; there are: {', '.join(TWINS)}")
        if self.view.textures > self.render.textures:
            raise ConfigError("view.textures must not exceed render.textures")

    def scene_seed(self, scene: int) -> int:
        """Seed of one scene, of no other scene in any data set of another seed."""
        return FIRST_SCENE_SEED + self.seed * MAX_SCENES + scene


def load_simulate_config(
    given: dict[str, Any], preset: str | None, overrides: Sequence[str]
) -> SimulateConfig:
    """The config of a preset or file, with ``given`` values and then ``overrides`` on top.

    Args:
        given: Values of options, such as scenes and seed; ``sensor`` may be a name or file.
        preset: Name of a file in config/simulation/, path of one of yours, or None.
        overrides: ``a.b=c``.

    Raises:
        ConfigError: An unknown preset, sensor or key, or an unusable value.
    """
    content: dict[str, Any] = {"sensor": "realsense"}
    if preset is not None:
        content |= read_yaml(preset_path("preset", "simulation", preset))
    # Twice: overrides may name another sensor, or change values of the one that is named.
    content = _with_sensor(apply_overrides(_with_sensor({**content, **given}), overrides))
    return build_config(SimulateConfig, content, preset or "repsam simulate")


def _with_sensor(content: dict[str, Any]) -> dict[str, Any]:
    """``content`` with the sensor's values in place of its name, so that no path is kept."""
    sensor = content["sensor"]
    if not isinstance(sensor, str):
        return content
    return {**content, "sensor": to_plain(load_sensor(sensor)), "sensor_name": Path(sensor).stem}


def open_renderer(name: str, settings: RenderSettings, tracing: TracingSettings) -> Renderer:
    """The renderer ``name``; it is never replaced by another one.

    Raises:
        BackendError: What it needs is not installed.
    """
    if name == "fast":
        return FastRenderer(settings)
    return PhotorealisticRenderer(settings, tracing)
