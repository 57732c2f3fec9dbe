"""The network: SAM at step 0, equal attention, geometry that is right."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from segment_anything.modeling.image_encoder import Attention, ImageEncoderViT
from torch import nn

from repsam_ros.errors import ConfigError
from repsam_ros.network.backbones import backbone_spec
from repsam_ros.network.build import NetworkConfig, RepSam, build_network
from repsam_ros.network.fusion import GatedAddition
from repsam_ros.network.geometry import _dense_geometry, dense_geometry, prompt_relations
from repsam_ros.network.sam import BackboneSpec, FusedAttention, ImageEncoder

K = torch.tensor([[300.0, 300.0, 159.5, 119.5]])


@pytest.fixture(scope="module")
def network() -> RepSam:
    torch.manual_seed(0)
    return build_network(NetworkConfig())


def picture(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    color = torch.rand((1, 3, 240, 320), generator=draw) * 255
    depth = 0.8 + 0.2 * torch.rand((1, 240, 320), generator=draw)
    return color, depth


@pytest.mark.parametrize("cached", [1, 500, 2**18])
def test_fused_attention_equals_sams_own(monkeypatch: pytest.MonkeyPatch, cached: int) -> None:
    """With the bias of 1, of 2, and of all 5 rows at a time."""
    monkeypatch.setattr("repsam_ros.network.sam._CACHED_BIAS", cached)
    torch.manual_seed(1)
    stock = Attention(32, num_heads=4, use_rel_pos=True, input_size=(5, 7))
    for table in (stock.rel_pos_h, stock.rel_pos_w):
        torch.nn.init.normal_(table)
    tokens = torch.randn(2, 5, 7, 32)
    expected = stock(tokens)
    stock.__class__ = FusedAttention
    assert torch.allclose(stock(tokens), expected, atol=1e-5)


def test_encoder_equals_sams_own_on_a_square_canvas() -> None:
    spec = BackboneSpec((64, 64), 32, 2, 4, (1,), 3, True, 16, 32, 3, 8)
    torch.manual_seed(2)
    ours = ImageEncoder(spec)
    for name, value in ours.named_parameters():
        if "pos" in name:
            torch.nn.init.normal_(value, std=0.3)
    theirs = ImageEncoderViT(
        img_size=64, patch_size=16, embed_dim=32, depth=2, num_heads=4, out_chans=16,
        norm_layer=lambda dim: torch.nn.LayerNorm(dim, eps=1e-6), use_rel_pos=True, window_size=3,
        global_attn_indexes=(1,),
    )  # fmt: skip
    theirs.load_state_dict(ours.state_dict())
    pixels = torch.randn(1, 3, 64, 64)
    tokens = ours.embed(pixels)
    for block in ours.blocks:
        tokens = block(tokens)
    assert torch.allclose(ours.neck(tokens.permute(0, 3, 1, 2)), theirs(pixels), atol=1e-5)


def test_at_step_zero_depth_changes_no_embedding(network: RepSam) -> None:
    color, depth = picture(0)
    with torch.inference_mode():
        first = network.encode(color, depth, K).embedding
        second = network.encode(color, torch.zeros_like(depth), K).embedding
    assert torch.equal(first, second)


def test_a_network_that_has_not_been_trained_with_depth_does_not_see_it() -> None:
    """However its other parts were trained, such as those that start at zero."""
    torch.manual_seed(1)
    network = build_network(NetworkConfig())
    with torch.no_grad():
        for name, value in network.named_parameters():
            if not value.any() and not name.startswith("fusion."):
                value.normal_(std=0.02)
    color, depth_m = picture(0)
    points, index = torch.tensor([[60.0, 80.0]]), torch.zeros(1, dtype=torch.int64)
    camera = torch.tensor([[300.0, 300.0, 159.5, 119.5]])
    found = []
    for depth in (depth_m, torch.zeros_like(depth_m)):
        encoded = network.encode(color, depth, camera)
        found.append((encoded.heatmap, encoded.foreground, network.decode(encoded, index, points)))
    (heat, ground, masks), (blind_heat, blind_ground, blind_masks) = found
    assert torch.equal(heat, blind_heat) and torch.equal(ground, blind_ground)
    assert torch.equal(masks.logits, blind_masks.logits) and masks.logits.any()
    assert torch.equal(masks.predicted_iou, blind_masks.predicted_iou)


def test_at_step_zero_the_mask_is_sams(network: RepSam) -> None:
    color, depth = picture(0)
    points = torch.tensor([[100.0, 90.0], [200.0, 50.0]])
    with torch.inference_mode():
        encoded = network.encode(color, depth, K)
        ours = network.decode(encoded, torch.zeros(2, dtype=torch.long), points)
        labels = torch.ones((2, 1))
        sparse, dense = network.prompt_encoder((points[:, None], labels), None, None)
        theirs, quality = network.mask_decoder(
            encoded.embedding, network.prompt_encoder.get_dense_pe(), sparse, dense, False
        )
    doubled = torch.nn.functional.interpolate(theirs, scale_factor=2.0, mode="bilinear")
    assert torch.allclose(ours.logits, doubled[:, 0], atol=1e-4)
    assert torch.allclose(ours.predicted_iou, quality[:, 0], atol=1e-4)


def test_prompts_of_a_batch_do_not_touch_each_other(network: RepSam) -> None:
    color, depth = picture(3)
    points = torch.tensor([[100.0, 90.0], [200.0, 50.0], [30.0, 200.0]])
    with torch.inference_mode():
        encoded = network.encode(color, depth, K)
        together = network.decode(encoded, torch.zeros(3, dtype=torch.long), points).logits
        alone = network.decode(encoded, torch.zeros(1, dtype=torch.long), points[1:2]).logits
    assert torch.allclose(together[1], alone[0], atol=1e-4)


def test_unknown_backbone_lists_what_exists() -> None:
    with pytest.raises(ConfigError, match="vit_tiny"):
        backbone_spec("vit_gigantic")


@pytest.mark.parametrize(("name", "encoder", "total"), [("vit_h", 637.03, 641.09)])
def test_official_sizes_on_the_meta_device(name: str, encoder: float, total: float) -> None:
    with torch.device("meta"):
        network = build_network(NetworkConfig(backbone=name))
    groups = (network.image_encoder, network.prompt_encoder, network.mask_decoder)
    counts = [sum(p.numel() for p in group.parameters()) / 1e6 for group in groups]
    assert counts[0] == pytest.approx(encoder, abs=0.01)
    assert sum(counts) == pytest.approx(total, abs=0.01)


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.floats(0.4, 2.0), st.floats(0.7, 1.3))
def test_normals_of_a_plane_are_the_planes(a: float, b: float, z: float, zoom: float) -> None:
    """A plane n . p = d seen with any focal length gives n everywhere but at the border."""
    focal = 300.0 * zoom
    intrinsics = torch.tensor([[focal, focal, 40.0, 30.0]])
    normal = torch.nn.functional.normalize(torch.tensor([a, b, -1.0]), dim=0)
    v, u = torch.meshgrid(torch.arange(60.0), torch.arange(80.0), indexing="ij")
    rays = torch.stack([(u - 40) / focal, (v - 30) / focal, torch.ones_like(u)])
    depth = -z / torch.einsum("c,chw->hw", normal, rays)
    geometry = dense_geometry(depth[None], intrinsics)
    inner = geometry.normals[0, :, 5:-5, 5:-5]
    assert torch.all((inner * normal[:, None, None]).sum(0) > 0.999)
    points = geometry.points_m[0, :, 5:-5, 5:-5]
    assert torch.allclose(
        torch.einsum("c,chw->hw", normal, points), torch.full(points.shape[1:], -z), atol=2e-3
    )


def test_relations_know_nothing_where_there_is_no_depth() -> None:
    geometry = dense_geometry(torch.zeros((1, 40, 40)), K)
    relations = prompt_relations(
        geometry, torch.zeros(1, dtype=torch.long), torch.tensor([[9.0, 9.0]])
    )
    assert torch.isfinite(relations).all()
    assert torch.all(relations[:, 2:] == 0)
    assert torch.all(torch.isfinite(geometry.features))


def test_the_spread_of_nearly_flat_depth_is_no_rounding() -> None:
    depth = 0.8 + 0.001 * torch.arange(50.0)[:, None].expand(1, 50, 60)
    depth = depth + 2e-4 * torch.randn(depth.shape, generator=torch.Generator().manual_seed(0))
    depth[:, 10:14, 20:30] = 0
    exact = _dense_geometry(depth.double(), K.double()).features[0, 5]
    assert (dense_geometry(depth, K).features[0, 5] - exact).norm() < 1e-5 * exact.norm()
    window = 1 / depth[0, 30:35, 40:45].double()
    step = window.std(correction=0) / window.mean()
    assert exact[32, 42] == pytest.approx(torch.log1p(1e2 * step).item(), rel=0.02)


def test_an_addition_is_what_the_gate_lets_through_of_the_projected_depth() -> None:
    torch.manual_seed(0)
    addition = GatedAddition(dim=12, depth_dim=5)
    tokens, depth, validity = (torch.randn(2, 3, 4, size) for size in (12, 5, 1))
    assert torch.equal(addition(tokens, depth, validity), tokens)
    for values in addition.project.parameters():
        nn.init.normal_(values)
    gate = torch.sigmoid(addition.gate(torch.cat([tokens, depth, validity], -1)))
    expected = tokens + gate * addition.project(depth)
    torch.testing.assert_close(addition(tokens, depth, validity), expected)
