"""Twins differ from their view in the one factor that they are named after."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from repsam_ros.errors import ConfigError
from repsam_ros.simulation.rendering import FastRenderer, Pictures, Rendered, RenderSettings, expose
from repsam_ros.simulation.scenes import settle_scene
from repsam_ros.simulation.sensor import SensorSettings
from repsam_ros.simulation.twins import TWINS, TwinRenderer, twin_of
from repsam_ros.simulation.views import GLASS, View, ViewSettings, draw_view

SIZE = (60, 80)
SENSOR = SensorSettings()


@pytest.fixture(scope="module")
def view() -> View:
    settings = ViewSettings(glass_scene_share=1.0, glass_share=0.4)
    for seed in range(40, 80):
        scene = settle_scene(seed)
        view = draw_view(scene, (seed,), settings, SIZE)
        rendered = FastRenderer().render([view])
        glass = view.arrays["materials"][view.slots, GLASS] > 0
        seen = np.isin(view.slots + 1, rendered.ids)
        vessels = np.array([item.is_vessel for item in scene.objects])
        if (
            len(scene.objects) >= 4
            and rendered.sight.glass.any()
            and (seen & vessels > glass).any()
        ):
            return view
    raise AssertionError("no scene with glass among the seeds")


@pytest.fixture(scope="module")
def original(view: View) -> tuple[Rendered, Pictures]:
    rendered = FastRenderer().render([view])
    return rendered, expose(rendered, SENSOR, 9)


@pytest.fixture(scope="module")
def twins(view: View) -> dict[str, tuple[Rendered, Pictures]]:
    renderer = TwinRenderer(FastRenderer(), RenderSettings())
    return {name: renderer.render(twin_of(name, view, 9), SENSOR, 9) for name in TWINS}


@pytest.mark.parametrize("name", ["source", "light", "sensor", "opaque", "glass"])
def test_geometry_is_the_same(
    name: str,
    original: tuple[Rendered, Pictures],
    twins: dict[str, tuple[Rendered, Pictures]],
) -> None:
    assert torch.equal(twins[name][0].ids, original[0].ids)
    assert torch.equal(twins[name][0].sight.depth_m, original[0].sight.depth_m)
    assert not torch.equal(twins[name][1].color, original[1].color)


def test_another_light_changes_no_depth(
    original: tuple[Rendered, Pictures], twins: dict[str, tuple[Rendered, Pictures]]
) -> None:
    assert torch.equal(twins["light"][1].depth_m, original[1].depth_m)


def test_the_perfect_sensor_measures_the_first_surface(
    twins: dict[str, tuple[Rendered, Pictures]],
) -> None:
    rendered, pictures = twins["sensor"]
    assert torch.equal(pictures.depth_m, rendered.sight.depth_m)
    assert torch.equal(pictures.color, rendered.color)


def test_glass_comes_and_goes(
    original: tuple[Rendered, Pictures], twins: dict[str, tuple[Rendered, Pictures]]
) -> None:
    assert original[0].sight.glass.any()
    assert not twins["opaque"][0].sight.glass.any()
    assert not twins["source"][0].sight.glass.any()
    assert twins["glass"][0].sight.glass.any()


def test_one_object_is_left_alone(
    original: tuple[Rendered, Pictures], twins: dict[str, tuple[Rendered, Pictures]]
) -> None:
    left = torch.unique(twins["clutter"][0].ids)
    assert len(left) <= 2 < len(torch.unique(original[0].ids))


def test_the_source_style_knows_no_light(view: View) -> None:
    renderer = TwinRenderer(FastRenderer(), RenderSettings())
    twin = twin_of("source", view, 9)
    first = renderer.render(twin, SENSOR, 9)[0].color
    relit = twin_of("source", twin_of("light", view, 3).view, 9)
    on_objects = renderer.render(twin, SENSOR, 9)[0].ids > 0
    second = renderer.render(relit, SENSOR, 9)[0].color
    difference = (first - second).abs().amax(1)[on_objects]
    assert difference.max() < 1e-5


def test_an_unknown_twin_lists_what_there_is(view: View) -> None:
    with pytest.raises(ConfigError, match="source, light"):
        twin_of("weather", view, 1)
