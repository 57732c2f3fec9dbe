"""Pictures: deterministic, consistent in depth and ids, and sensed with the right failures."""

from __future__ import annotations

import pytest
import torch

from repsam_ros.simulation.rendering import (
    FastRenderer,
    Rendered,
    amodal_masks,
    expose,
    ids_of_depth,
    stack_views,
)
from repsam_ros.simulation.scenes import settle_scene
from repsam_ros.simulation.sensor import SensorSettings
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


def test_ids_follow_the_measured_outline(rendered: Rendered) -> None:
    sight, ids = rendered.sight, rendered.ids
    assert torch.equal(ids_of_depth(ids, sight, sight.depth_m), ids)
    # Near depth spreads one pixel to the right, as block matching does.
    spread = torch.minimum(sight.depth_m, sight.depth_m.roll(1, 2))
    moved = ids_of_depth(ids, sight, spread)
    jumped = (sight.depth_m - spread > 0.05) & ~sight.glass
    jumped[..., :2] = False
    assert jumped.sum() > 20
    assert (moved == ids.roll(1, 2))[jumped].float().mean() > 0.9
    lost = torch.zeros_like(spread)
    assert torch.equal(ids_of_depth(ids, sight, lost), ids)
