"""Twins: the same scene from the same camera, with one factor changed.

Pairs of a picture and its twin tell which shift between two domains moves which layer of an
encoder. ``source`` changes every factor at once: it shows the same geometry in the style of the
source pictures that a base is pretrained on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from repsam_ros.errors import ConfigError
from repsam_ros.simulation.rendering import (
    FastRenderer,
    Pictures,
    Rendered,
    Renderer,
    RenderSettings,
    expose,
)
from repsam_ros.simulation.sensor import SensorSettings
from repsam_ros.simulation.source_textures import source_atlas
from repsam_ros.simulation.view_changes import changed, hidden, in_glass
from repsam_ros.simulation.views import (
    AMBIENT,
    CLUTTER,
    FILL_STRENGTH,
    FIXTURE,
    GLASS,
    GLOSS,
    LAMP_COLOR,
    LAMP_STRENGTH,
    MATERIAL_COUNT,
    MAX_OBJECTS,
    TINT_SHARE,
    View,
    draw_light,
)


@dataclass(frozen=True)
class Twin:
    """What is rendered in place of a view.

    Attributes:
        view: With the factor changed.
        in_source_style: Painted with the source pictures' textures.
        sensed: Seen through camera and depth sensor; else both are perfect.
    """

    view: View
    in_source_style: bool = False
    sensed: bool = True


def in_source_style(view: View, seed: int) -> Twin:
    """Flat light, no gloss, no glass, source textures on every surface, perfect camera."""
    materials, light = view.arrays["materials"].copy(), view.arrays["light"].copy()
    materials[:, [TINT_SHARE, GLOSS, GLASS]] = 0
    light[[AMBIENT, LAMP_STRENGTH, FILL_STRENGTH]] = 1, 0, 0
    light[LAMP_COLOR : LAMP_COLOR + 3] = 1
    return Twin(changed(view, materials=materials, light=light), in_source_style=True, sensed=False)


def relit(view: View, seed: int) -> Twin:
    """Another lamp, fill light and sky."""
    return Twin(changed(view, light=draw_light(np.random.default_rng([seed, 1]))))


def perfect_sensor(view: View, seed: int) -> Twin:
    """The same picture before camera and depth sensor."""
    return Twin(view, sensed=False)


def alone(view: View, seed: int) -> Twin:
    """One random object on its table; the others, fixtures and clutter beyond are gone."""
    present = np.flatnonzero(view.slots >= 0)
    kept = np.random.default_rng([seed, 2]).choice(present) if len(present) else -1
    slots = np.where(np.arange(len(view.slots)) == kept, view.slots, -1)
    staying = {int(slots[kept])} if len(present) else set()
    owners = np.arange(MATERIAL_COUNT)
    gone = (owners < MAX_OBJECTS) & ~np.isin(owners, list(staying))
    gone |= (owners >= CLUTTER) & (owners <= FIXTURE)
    return Twin(replace(hidden(view, gone), slots=slots))


def opaque(view: View, seed: int) -> Twin:
    """Nothing is made of glass."""
    return Twin(in_glass(view, np.zeros(len(view.slots), bool)))


def glassy(view: View, seed: int) -> Twin:
    """Every vessel is made of glass."""
    return Twin(in_glass(view, np.array([item.is_vessel for item in view.scene.objects], bool)))


TWINS: dict[str, Callable[[View, int], Twin]] = {
    "source": in_source_style,
    "light": relit,
    "sensor": perfect_sensor,
    "clutter": alone,
    "opaque": opaque,
    "glass": glassy,
}


def twin_of(name: str, view: View, seed: int) -> Twin:
    """The twin ``name`` of a view.

    Raises:
        ConfigError: No such twin.
    """
    if name not in TWINS:
        raise ConfigError(f"unknown twin {name!r}; there are: {', '.join(TWINS)}")
    return TWINS[name](view, seed)


class TwinRenderer:
    """Renders twins as ``renderer`` renders views, those in source style with flat shading."""

    def __init__(self, renderer: Renderer, settings: RenderSettings) -> None:
        self._renderer = renderer
        atlas = source_atlas(settings.texture_seed, settings.textures)
        self._flat = FastRenderer(atlas=atlas)

    def render(self, twin: Twin, sensor: SensorSettings, seed: int) -> tuple[Rendered, Pictures]:
        """The clean picture and what the robot gets; ``seed`` is that of the view's own exposure.

        With the same seed a twin has the sensor noise of its view.
        """
        renderer: Renderer = self._flat if twin.in_source_style else self._renderer
        rendered = renderer.render([twin.view])
        if twin.sensed:
            return rendered, expose(rendered, sensor, seed)
        depth_m = rendered.sight.depth_m
        return rendered, Pictures(rendered.color, depth_m, rendered.ids, rendered.intrinsics)
