"""Pictures: deterministic, consistent in depth and ids, and sensed with the right failures."""

from __future__ import annotations

import math

import pytest
import torch

from repsam_ros.simulation.pool import _pack, unpack
from repsam_ros.simulation.rendering import (
    FastRenderer,
    Rendered,
    amodal_masks,
    expose,
    stack_views,
)
from repsam_ros.simulation.scenes import settle_scene
from repsam_ros.simulation.sensor import SensedScene, SensorSettings, sense
from repsam_ros.simulation.views import ViewSettings, draw_view

SIZE = (60, 80)


@pytest.fixture(scope="module")
def rendered() -> Rendered:
    settings = ViewSettings(glass_scene_share=1.0, glass_share=1.0)
    return FastRenderer().render([draw_view(settle_scene(2), (2,), settings, SIZE)])


def test_same_seed_gives_the_same_pixels(rendered: Rendered) -> None:
    first, second = (expose(rendered, SensorSettings(), 4) for _ in range(2))
    assert torch.equal(first.color, second.color)
    assert torch.equal(first.depth_m, second.depth_m)
    assert not torch.equal(first.depth_m, expose(rendered, SensorSettings(), 5).depth_m)


def test_objects_are_seen_at_true_depth(rendered: Rendered) -> None:
    assert rendered.ids.max() > 0
    on_object = rendered.ids > 0
    depth = rendered.sight.depth_m[on_object]
    assert torch.all((depth > 0.1) & (depth < 3))
    assert torch.all(rendered.sight.through_m >= rendered.sight.depth_m - 1e-4)


def test_packing_keeps_what_training_needs(rendered: Rendered) -> None:
    again = unpack(_pack(rendered)[None], rendered.intrinsics.numpy())
    assert torch.equal(again.ids, rendered.ids)
    assert torch.equal(again.sight.glass, rendered.sight.glass)
    near = rendered.sight.depth_m < 6.5
    error = (again.sight.depth_m - rendered.sight.depth_m).abs()[near]
    assert error.max() <= 0.51e-4
    assert (again.color - rendered.color).abs().max() <= 0.51 / 255


def flat_scene(**changes: torch.Tensor) -> SensedScene:
    shape = (1, 120, 160)
    values = {
        "depth_m": torch.full(shape, 1.0),
        "through_m": torch.full(shape, 1.0),
        "incidence_rad": torch.zeros(shape),
        "shadowed": torch.zeros(shape, dtype=torch.bool),
        "glass": torch.zeros(shape, dtype=torch.bool),
        "dropout": torch.zeros(shape),
        "on_table": torch.ones(shape, dtype=torch.bool),
    }
    return SensedScene(**{**values, **changes})


QUIET = SensorSettings(
    axial_scale=(1.0, 1.0),
    grazing_deg=(80.0, 80.0),
    edge_dropout=(0.0, 0.0),
    crop_share=0.0,
    speckle_holes=0.5,
)


def test_axial_noise_has_the_size_of_the_model() -> None:
    depth = sense(flat_scene(), QUIET, torch.Generator().manual_seed(0))
    error = (depth - 1.0)[depth > 0]
    expected = (0.0012 + 0.0019 * 0.36) * math.hypot(0.5, 0.8)
    # Disparity steps of an eighth of a pixel add their own spread at one metre.
    assert expected * 0.5 < error.std() < expected * 2
    assert error.mean().abs() < 0.001


def test_shadow_grazing_and_glass_lose_depth() -> None:
    shape = (1, 120, 160)
    left = torch.zeros(shape, dtype=torch.bool)
    left[..., :80] = True
    for name, value, least in (
        ("shadowed", left, 0.95),
        ("incidence_rad", torch.where(left, 1.5, 0.0), 0.6),
        ("glass", left, 0.2),
    ):
        scene = flat_scene(**{name: value})
        depth = sense(scene, QUIET, torch.Generator().manual_seed(1))
        lost = depth == 0
        assert lost[..., 4:76].float().mean() > least, name
        assert lost[..., 84:].float().mean() < 0.1, name


def test_glass_often_shows_what_is_behind() -> None:
    glass = torch.ones((1, 120, 160), dtype=torch.bool)
    behind = torch.full((1, 120, 160), 1.5)
    scene = flat_scene(glass=glass, through_m=behind)
    depth = sense(scene, QUIET, torch.Generator().manual_seed(2))
    assert (depth > 1.3).float().mean() > 0.3


@pytest.mark.parametrize("seed", range(4))
def test_embree_sees_what_analytic_ray_casting_sees(seed: int) -> None:
    view = draw_view(settle_scene(20 + seed), (seed,), ViewSettings(glass_scene_share=0.5), SIZE)
    renderer = FastRenderer()
    fast, exact = renderer.render([view]), renderer.render_arrays(stack_views([view]), SIZE)
    same = fast.ids == exact.ids
    assert same.float().mean() > 0.995  # outlines of triangles and of round things differ
    for name in ("depth_m", "through_m"):
        error = (getattr(fast.sight, name) - getattr(exact.sight, name)).abs()[same]
        assert torch.quantile(error, 0.98) < 3e-4, name
    assert fast.normals is not None and exact.normals is not None
    agreement = (fast.normals * exact.normals).sum(1)[same & (exact.ids > 0)]
    assert torch.quantile(agreement, 0.05) > 0.99
    assert ((fast.color - exact.color).abs().amax(1)[same] < 0.1).float().mean() > 0.97


def test_amodal_masks_hold_the_visible_ones() -> None:
    view = draw_view(settle_scene(23), (1,), ViewSettings(glass_scene_share=0.0), SIZE)
    ids = FastRenderer().render([view]).ids[0].numpy()
    masks = amodal_masks(view)
    assert masks.shape == (len(view.slots), *SIZE)
    hidden = 0
    for slot, mask in zip(view.slots, masks, strict=True):
        visible = ids == slot + 1
        assert not (visible & ~mask).any()
        hidden += int((mask & ~visible).sum())
    assert hidden > 0
