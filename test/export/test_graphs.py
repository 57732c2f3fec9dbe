"""The modules that become graphs compute what the network computes."""

from __future__ import annotations

import pytest
import torch
from segment_anything.modeling.common import LayerNorm2d

from repsam_ros.errors import ConfigError
from repsam_ros.export import graphs
from repsam_ros.export.graphs import (
    AugmentedAttention,
    ChannelNorm,
    DecoderGraph,
    EncoderGraph,
    RowwiseAttention,
    prepared,
)
from repsam_ros.methods import Training, open_method
from repsam_ros.network import sam
from repsam_ros.network.build import NetworkConfig, RepSam, build_network
from repsam_ros.network.sam import BackboneSpec, FusedAttention

LIMIT = {"fp32": 1e-5, "fp16": 2e-2}


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> RepSam:
    """Windows that do not fit the canvas, relative positions, and no zeros anywhere."""
    spec = BackboneSpec((64, 96), 32, 2, 2, (1,), 3, True, 32, 32, 3, 8)
    monkeypatch.setitem(sam.BACKBONES, "small", spec)
    torch.manual_seed(0)
    network = build_network(NetworkConfig("small"))
    with torch.no_grad():
        for name, value in [*network.named_parameters(), *network.named_buffers()]:
            if not value.any() and value.is_floating_point():
                value.normal_(std=0.3)
            if name.endswith("running_var"):
                value.uniform_(0.5, 2)
    return network


def scene() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    color = torch.randint(0, 256, (1, 64, 96, 3), generator=draw, dtype=torch.uint8)
    depth_m = 0.8 + 0.2 * torch.rand((1, 64, 96), generator=draw)
    depth_m[:, 20:40, 10:30] = 0
    return color, depth_m, torch.tensor([[90.0, 90.0, 47.5, 31.5]])


def relative_error(got: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((got.float() - wanted).norm() / wanted.norm())


@pytest.mark.parametrize(
    ("rewritten", "bias_size"),
    [
        (AugmentedAttention, 1),
        (RowwiseAttention, 1),
        (RowwiseAttention, 500),
        (RowwiseAttention, 1e6),
    ],
)
def test_rewritten_relative_positions_are_exact(
    monkeypatch: pytest.MonkeyPatch, rewritten: type[FusedAttention], bias_size: int
) -> None:
    """Of 5 rows of 7 tokens one, two, or all at a time."""
    monkeypatch.setattr(graphs, "_BIAS_SIZE", int(bias_size))
    torch.manual_seed(1)
    attention = FusedAttention(36, num_heads=4, use_rel_pos=True, input_size=(5, 7))
    for table in (attention.rel_pos_h, attention.rel_pos_w):
        torch.nn.init.normal_(table)
    tokens = torch.randn(2, 5, 7, 36)
    expected = attention(tokens)
    attention.__class__ = rewritten
    assert torch.allclose(attention(tokens), expected, atol=1e-5)


def test_the_norm_over_channels_is_sams() -> None:
    norm = LayerNorm2d(6)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = torch.randn(2, 6, 3, 4)
    expected = norm(x)
    norm.__class__ = ChannelNorm
    assert torch.allclose(norm(x), expected, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_both_graphs_compute_what_the_network_computes(network: RepSam, precision: str) -> None:
    color, depth_m, camera = scene()
    points = torch.tensor([[0.0, 0.0], [95.0, 63.0], [20.0, 30.0], [-4.0, 80.0]])
    ready = prepared(network, precision)
    with torch.inference_mode():
        encoded = network.encode(color.permute(0, 3, 1, 2).float(), depth_m, camera)
        wanted = network.decode(encoded, torch.zeros(4, dtype=torch.long), points)
        heatmap, *state = EncoderGraph(ready)(color, depth_m, camera)
        logits, quality = DecoderGraph(ready)(*state, points)
    assert relative_error(heatmap, encoded.heatmap.sigmoid()) < LIMIT[precision]
    assert relative_error(logits, wanted.logits) < LIMIT[precision]
    assert torch.allclose(quality, wanted.predicted_iou.clamp(0, 1), atol=LIMIT[precision])


def test_geometry_stays_in_float32_and_the_network_as_it_was(network: RepSam) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    _, embedding, *_, points_m, normals, valid, around = EncoderGraph(prepared(network, "fp16"))(
        *scene()
    )
    assert embedding.dtype == torch.float16
    assert {x.dtype for x in (points_m, normals, valid, around)} == {torch.float32}
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_what_cannot_become_a_graph_is_refused(network: RepSam) -> None:
    with pytest.raises(ConfigError, match="bf16"):
        prepared(network, "bf16")
    open_method("hq_token").prepare(network, Training())
    with pytest.raises(ConfigError, match="decoder extension"):
        prepared(network, "fp32")
