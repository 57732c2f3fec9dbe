"""Backbones beside SAM: the same contract for each, on small sizes of the real classes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from repsam_ros.adaptation.cka.recorder import BlockRecorder, random_tokens
from repsam_ros.errors import BackendError, CheckpointError, ConfigError
from repsam_ros.methods import Training, method_names, open_method
from repsam_ros.network.adapters import (
    MODULES,
    VARIANTS,
    AdapterConfig,
    add_adapters,
    merge_adapters,
    rank_costs,
)
from repsam_ros.network.backbones import backbone_spec, backbones, efficient_sam, mobile_sam, sam2
from repsam_ros.network.build import EncodedImage, NetworkConfig, RepSam, build_network
from repsam_ros.network.sam import SAM_GROUPS
from repsam_ros.network.weights import load_network, load_weights, save_weights

CANVAS_PX = (64, 96)
DECODER = {
    "canvas_px": CANVAS_PX,
    "prompt_dim": 16,
    "decoder_mlp": 32,
    "multimask_outputs": 0,
    "depth_dim": 16,
}
SMALL = {
    "mobile_sam": mobile_sam.TinyVitSpec(
        (8, 16, 24, 32), (1, 1, 2, 2), (1, 2, 2, 4), (3, 3, 3, 3), **DECODER
    ),
    "sam2_t": sam2.HieraSpec(
        (8, 16, 32, 64), (1, 1, 3, 1), (1, 2, 4, 8), (4, 2, 4, 2), global_blocks=(3,), **DECODER
    ),
    "efficient_sam_ti": efficient_sam.EfficientSamSpec(
        CANVAS_PX, 32, 3, 2, (0, 2), 0, False, 16, 32, 0, 16
    ),
}
PACKAGES = {"mobile_sam": "timm", "sam2_t": "transformers", "efficient_sam_ti": "segment_anything"}
OFFICIAL = json.loads(Path(__file__).with_name("official_tensors.json").read_text())


@pytest.fixture(params=list(SMALL))
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A backbone whose spec is a small one."""
    pytest.importorskip(PACKAGES[request.param])
    for module in (mobile_sam, sam2, efficient_sam):
        if request.param in module.BACKBONES:
            monkeypatch.setitem(module.BACKBONES, request.param, SMALL[request.param])
    return str(request.param)


def build(name: str, seed: int = 0) -> RepSam:
    torch.manual_seed(seed)
    return build_network(NetworkConfig(name))


def encode(network: RepSam, depth_m: float = 0.9) -> EncodedImage:
    draw = torch.Generator().manual_seed(1)
    color = torch.rand((1, 3, *CANVAS_PX), generator=draw) * 255
    depth = depth_m * torch.rand((1, *CANVAS_PX), generator=draw)
    return network.encode(color, depth, torch.tensor([[96.0, 96.0, 48.0, 32.0]]))


def loss(network: RepSam) -> Tensor:
    encoded = encode(network)
    points = torch.tensor([[20.0, 30.0], [70.0, 40.0]])
    masks = network.decode(encoded, torch.zeros(2, dtype=torch.long), points)
    total: Tensor = masks.logits.square().mean() + masks.predicted_iou.sum()
    return total + encoded.heatmap.square().mean() + encoded.foreground.square().mean()


def disturb(values: dict[str, Tensor]) -> None:
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for value in values.values():
            if value.is_floating_point():
                value.add_(0.05 * torch.rand(value.shape, generator=draw))


@torch.inference_mode()
def test_step_zero_is_the_encoder_of_colour_and_depth_can_be_learned(name: str) -> None:
    network = build(name)
    with_depth, without = encode(network), encode(network, 0.0)
    assert with_depth.embedding.shape == (1, 16, 4, 6)
    assert with_depth.early.shape[2:] == (4, 6)
    assert torch.equal(with_depth.embedding, without.embedding)
    for addition in network.fusion.additions:
        nn.init.normal_(addition.project.weight)
        before, with_depth = with_depth, encode(network)
        assert not torch.equal(with_depth.embedding, before.embedding)
    masks = network.decode(with_depth, torch.zeros(2, dtype=torch.long), torch.rand(2, 2) * 60)
    assert masks.logits.shape == (2, 32, 48)


@pytest.mark.parametrize("variant", VARIANTS)
def test_adapters_start_as_the_base_learn_and_merge(name: str, variant: str) -> None:
    network, modules = build(name), tuple(MODULES)
    before, costs = encode(network).embedding, rank_costs(network, modules)
    blocks = len(network.image_encoder.blocks)
    layers = add_adapters(network, AdapterConfig((2,) * blocks, modules, variant))
    assert len(layers) == 4 * blocks
    assert torch.equal(encode(network).embedding, before)
    disturb({n: p for n, p in network.named_parameters() if p.requires_grad})
    adapted = encode(network).embedding
    adapted.square().sum().backward()
    trained = {n: p for n, p in network.named_parameters() if p.requires_grad}
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trained.values())
    if variant == "lora":
        assert sum(p.numel() for p in trained.values()) == 2 * sum(costs)
    assert (adapted - before).abs().max() > 1e-4
    assert (encode(merge_adapters(network)).embedding - adapted).abs().max() < 1e-5


def test_files_restore_the_network(name: str, tmp_path: Path) -> None:
    network, path = build(name), tmp_path / "weights.safetensors"
    network.load_state_dict({k: v.half().to(v.dtype) for k, v in network.state_dict().items()})
    save_weights(path, network.state_dict(), NetworkConfig(name), {})
    loaded, _ = load_network(str(path))
    with torch.inference_mode():
        assert torch.equal(encode(loaded).embedding, encode(network).embedding)


def test_the_recorder_gives_one_row_a_block(name: str) -> None:
    network = build(name)
    blocks, widths = network.image_encoder.blocks, []
    for block in blocks:
        block.register_forward_hook(lambda _, __, out: widths.append(out.shape[-1]))
    with BlockRecorder(blocks, (4, 6)) as recorder:
        at = random_tokens((0,), (3, 6), 5)
        rows = recorder.record(lambda: encode(network), [(3, 6)], [at])
    assert rows.image_mean.shape == (len(blocks), 1, max(widths))
    assert rows.tokens.shape == (len(blocks), 1, 5, max(widths))
    assert torch.isfinite(rows.tokens).all() and (rows.tokens.std((1, 2, 3)) > 0).all()


def test_computing_blocks_twice_changes_no_gradient(name: str) -> None:
    network = build(name)
    gradients = []
    for network.checkpointing in (False, True):
        network.zero_grad()
        encode(network).embedding.square().sum().backward()
        gradients.append([p.grad.clone() for p in network.image_encoder.blocks.parameters()])
    for once, twice in zip(*gradients, strict=True):
        torch.testing.assert_close(once, twice)


def test_half_precision_is_near(name: str) -> None:
    network = build(name)
    exact = encode(network).embedding
    with torch.autocast("cpu", torch.bfloat16):
        loss(network).backward()
        near = encode(network).embedding
    assert near.isfinite().all() and (near - exact).abs().mean() < 0.05 * exact.std()


def test_new_weights_count_though_the_network_has_run_before(name: str) -> None:
    """timm's attention keeps its biases in evaluation mode."""
    network, other = build(name), build(name, 1)
    disturb(other.state_dict())
    with torch.inference_mode():
        encode(network)
        network.load_state_dict(other.state_dict())
        assert torch.equal(encode(network).embedding, encode(other).embedding)
    encode(network).embedding.sum().backward()


@pytest.mark.parametrize("method", [m for m in method_names() if m != "zero_shot"])
def test_methods_train_or_say_that_they_need_one_width(name: str, method: str) -> None:
    network = build(name)
    with_ranks = {"ranks": (1,) * len(network.image_encoder.blocks)} if method == "repsam" else {}
    chosen = open_method(method, with_ranks)
    if method in ("sam_adapter", "dual_stream") and name != "efficient_sam_ti":
        with pytest.raises(ConfigError, match="blocks have different widths"):
            chosen.prepare(network, Training())
        return
    chosen.prepare(network, Training(100, [loss]))
    optimizer = chosen.optimizer(network, 1e-2, 0.0)
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    for _ in range(2):  # what starts at zero lets the rest learn from the second step on
        optimizer.zero_grad()
        loss(network).backward()
        optimizer.step()
    moved = {n for n, p in network.named_parameters() if not torch.equal(p, before[n])}
    assert moved and moved <= {n for n, p in network.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("official", list(OFFICIAL))
def test_official_tensors_have_a_place_each(official: str) -> None:
    """Names and shapes are those of the state dictionaries that the authors' classes make."""
    pytest.importorskip(PACKAGES[official])
    spec = backbone_spec(official)
    with torch.device("meta"):
        network = build_network(NetworkConfig(official))
        state = {tensor: torch.empty(shape) for tensor, shape in OFFICIAL[official].items()}
        found = spec.from_official(state)
    wanted = network.state_dict()
    assert {k: v.shape for k, v in found.items()} == {
        k: v.shape for k, v in wanted.items() if k.startswith(spec.official_groups)
    }


def test_an_official_checkpoint_fills_its_groups(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = SMALL["efficient_sam_ti"]
    monkeypatch.setitem(efficient_sam.BACKBONES, "efficient_sam_ti", spec)
    network, other = build("efficient_sam_ti"), build("efficient_sam_ti", 1)
    positions = torch.randn(1, 1 + 36, 32, generator=torch.Generator().manual_seed(3))
    state = {
        name.replace(".mlp.lin", ".mlp.fc"): value
        for name, value in other.state_dict().items()
        if name.startswith("image_encoder.")
    }
    state["image_encoder.pos_embed"] = positions
    path = tmp_path / "official.pt"
    torch.save({"model": state}, path)
    assert load_weights(network, str(path)).groups == ("image_encoder.",)
    assert torch.equal(network.image_encoder.pos_embed, positions[:, 1:].reshape(1, 6, 6, 32))
    mlp = "image_encoder.blocks.1.mlp.lin1.weight"
    assert torch.equal(network.state_dict()[mlp], other.state_dict()[mlp])
    del state["image_encoder.pos_embed"]
    torch.save({"model": state}, path)
    with pytest.raises(CheckpointError, match=r"pos_embed.*not the official checkpoint"):
        load_weights(network, str(path))


@pytest.mark.parametrize(
    ("backbone", "module"),
    [("mobile_sam", "timm.models.tiny_vit"), ("sam2_t", "transformers.models.sam2.modeling_sam2")],
)
def test_a_missing_package_is_named(
    backbone: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BackendError, match=f"pip install {module.split('.')[0]}"):
        build_network(NetworkConfig(backbone))


def test_every_spec_is_consistent() -> None:
    for name, spec in backbones().items():
        assert set(spec.additions) | set(spec.neck_blocks) <= set(range(spec.depth)), name
        assert set(spec.official_groups) <= set(SAM_GROUPS), name


def test_the_blocks_are_the_packages_own() -> None:
    """Same weights, same output as the stock models, whose MLPs have other names."""
    tiny = pytest.importorskip("timm.models.tiny_vit")
    spec = SMALL["mobile_sam"]
    stock = tiny.TinyVit(
        num_classes=0, embed_dims=spec.widths, depths=spec.stage_depths, num_heads=spec.heads,
        window_sizes=spec.windows, drop_path_rate=0.0,
    ).eval()  # fmt: skip
    stock.stages[3].downsample.conv2.conv.stride = (1, 1)
    disturb(stock.state_dict())
    encoder = spec.build_encoder().eval()
    state = {k: v for k, v in encoder.state_dict().items() if k.startswith("neck.")}
    places = {"stages.0.blocks.": "convolutions."}
    for stage, first in enumerate(spec.first_blocks, 1):
        places[f"stages.{stage}.downsample."] = f"blocks.{first}.downsample."
        for index in range(spec.stage_depths[stage]):
            places[f"stages.{stage}.blocks.{index}."] = f"blocks.{first + index}."
    for tensor, value in stock.state_dict().items():
        for theirs, ours in places.items():
            tensor = tensor.replace(theirs, ours)
        if not tensor.startswith("head."):
            state[tensor.replace(".mlp.fc", ".mlp.lin")] = value
    encoder.load_state_dict(state)
    pixels = torch.randn(1, 3, *CANVAS_PX, generator=torch.Generator().manual_seed(6))
    with torch.inference_mode():
        tokens = encoder.embed(pixels)
        for block in encoder.blocks:
            tokens = block(tokens)
        expected = stock.forward_features(pixels)
    torch.testing.assert_close(tokens.permute(0, 3, 1, 2), expected)
