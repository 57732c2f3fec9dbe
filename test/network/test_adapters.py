"""Adapters: where they go, that they start as the base, merging, files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from repsam_ros.errors import CheckpointError, ConfigError
from repsam_ros.network import sam
from repsam_ros.network.adapter_files import (
    AdapterRecord,
    load_adapter,
    read_adapter,
    save_adapter,
    set_training_mode,
    tuned_tensors,
)
from repsam_ros.network.adapters import (
    VARIANTS,
    AdapterConfig,
    adapted_layers,
    add_adapters,
    merge_adapters,
    rank_costs,
)
from repsam_ros.network.build import NetworkConfig, RepSam, build_network
from repsam_ros.network.sam import SAM_GROUPS

# Twelve blocks, so that "blocks.1" and "blocks.10" both exist; window and global attention.
WINDOWED = sam.BackboneSpec((64, 96), 16, 12, 2, (2, 11), 3, True, 16, 32, 0, 16)
RECORD = AdapterRecord("lora", {"rank": 4}, {"backbone": "windowed"}, "base", "ab" * 32, 7)


@pytest.fixture(autouse=True)
def windowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sam.BACKBONES, "windowed", WINDOWED)


def build(backbone: str = "windowed") -> RepSam:
    torch.manual_seed(0)
    return build_network(NetworkConfig(backbone))


def embed(network: RepSam) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    height, width = network.spec.canvas_px
    color = torch.rand((1, 3, height, width), generator=draw) * 255
    depth = 0.8 + 0.2 * torch.rand((1, height, width), generator=draw)
    camera = torch.tensor([[float(width), float(width), width / 2, height / 2]])
    with torch.inference_mode():
        return network.encode(color, depth, camera).embedding


def disturb(network: RepSam) -> None:
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for value in network.parameters():
            if value.requires_grad:
                value.add_(0.05 * torch.randn(value.shape, generator=draw))


def ranks(variant: str, blocks: int) -> tuple[int, ...]:
    mixed = (4, 0, 2, 8, 1, 4, 3, 6, 1, 2, 5, 7)[:blocks]
    return tuple(4 * bool(rank) for rank in mixed) if variant == "vera" else mixed


@pytest.mark.parametrize("backbone", ["windowed", "vit_tiny"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_adapters_start_as_the_base_and_merge_into_it(variant: str, backbone: str) -> None:
    network = build(backbone)
    names, before = list(network.state_dict()), embed(network)
    modules = ("qkv", "proj", "lin1", "lin2")
    blocks = len(network.image_encoder.blocks)
    add_adapters(network, AdapterConfig(ranks(variant, blocks), modules, variant))
    assert torch.equal(embed(network), before)
    disturb(network)
    adapted = embed(network)
    assert (adapted - before).abs().max() > 1e-3
    merged = merge_adapters(network)
    assert (embed(merged) - adapted).abs().max() < 1e-5
    assert list(merged.state_dict()) == names
    assert torch.equal(embed(network), adapted), "merging changed the network itself"


def test_merging_is_done_in_float32() -> None:
    network = build()
    add_adapters(network, AdapterConfig((4,) * 12))
    disturb(network)
    exact, half = embed(network), merge_adapters(network.bfloat16())
    assert {p.dtype for p in half.parameters()} == {torch.float32}
    # Only the rounding of weights to bfloat16 is left, which a merge in bfloat16 would double.
    assert (embed(half) - exact).abs().max() < 0.05


def test_each_layer_has_its_own_rank_and_all_the_same_scale() -> None:
    network = build()
    chosen = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0)
    add_adapters(network, AdapterConfig(chosen, alpha_per_rank=2.0))
    for block, rank in zip(network.image_encoder.blocks, chosen, strict=True):
        for layer in (block.attn.qkv, block.attn.proj):
            assert hasattr(layer, "lora_A") == bool(rank)
            if rank:
                assert layer.r["default"] == rank
                assert layer.scaling["default"] == 2.0
    assert type(network.image_encoder.patch_embed.proj) is torch.nn.Conv2d
    assert not any(".lora_" in name for name, _ in network.mask_decoder.named_parameters())


def test_ranks_can_differ_within_a_block() -> None:
    config = AdapterConfig(tuple(range(24)))
    layers = adapted_layers(config, 12)
    assert layers["image_encoder.blocks.0.attn.proj"] == 1
    assert layers["image_encoder.blocks.11.attn.qkv"] == 22
    assert "image_encoder.blocks.0.attn.qkv" not in layers


@pytest.mark.parametrize("variant", ["lora", "dora"])
def test_costs_of_a_rank_are_what_is_trained(variant: str) -> None:
    network, modules = build(), ("qkv", "lin2")
    costs = rank_costs(network, modules)
    config = AdapterConfig(ranks(variant, 12), modules, variant)
    expected = sum(r * c for r, c in zip(config.ranks, costs, strict=True))
    if variant == "dora":  # one length for each output
        expected += sum(bool(r) * (48 + 16) for r in config.ranks)
    add_adapters(network, config)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == expected


def test_one_rank_in_vit_h_costs_what_is_published() -> None:
    with torch.device("meta"):
        network = build_network(NetworkConfig("vit_h"))
    assert set(rank_costs(network, ("qkv",))) == {5120}
    assert set(rank_costs(network, ("qkv", "proj"))) == {7680}
    assert set(rank_costs(network, ("qkv", "proj", "lin1", "lin2"))) == {20480}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ranks": (0, 0)}, "not all 0"),
        ({"ranks": (1, -1)}, "0 or more"),
        ({"ranks": (1,), "modules": ("patch_embed",)}, "unknown module 'patch_embed'"),
        ({"ranks": (1,), "modules": ("qkv", "qkv")}, "each layer once"),
        ({"ranks": (1,), "variant": "loha"}, "unknown adapter 'loha'"),
        ({"ranks": (1,), "alpha_per_rank": 0.0}, "alpha_per_rank"),
        ({"ranks": (1, 2), "variant": "vera"}, "one rank"),
    ],
)
def test_unusable_configurations_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AdapterConfig(**values)


def test_ranks_must_fit_the_network_and_come_once() -> None:
    network = build()
    with pytest.raises(ConfigError, match="3 ranks do not fit 12 blocks"):
        add_adapters(network, AdapterConfig((1, 2, 3)))
    add_adapters(network, AdapterConfig((1,) * 12))
    with pytest.raises(ConfigError, match="adapters already"):
        add_adapters(network, AdapterConfig((1,) * 12))


@pytest.mark.parametrize("variant", VARIANTS)
def test_files_hold_the_adapters_alone_and_restore_them(variant: str, tmp_path: Path) -> None:
    config = AdapterConfig(ranks(variant, 12), variant=variant)
    network, path = build(), tmp_path / "adapter.safetensors"
    add_adapters(network, config)
    disturb(network)
    record = replace(RECORD, cka={"rows": {"tokens": {"cka": [0.5, 1.0]}}})
    save_adapter(path, network, record)
    assert not [name for name in load_file(path) if "base_layer" in name]
    assert sum("vera_A" in name for name in load_file(path)) == (variant == "vera")
    other = build()
    torch.manual_seed(99)
    add_adapters(other, config)
    assert load_adapter(path, other, RECORD.base_sha256) == record
    assert torch.equal(embed(other), embed(network))


def test_another_base_is_refused(tmp_path: Path) -> None:
    network, path = build(), tmp_path / "adapter.safetensors"
    add_adapters(network, AdapterConfig((1,) * 12))
    save_adapter(path, network, RECORD)
    with pytest.raises(CheckpointError, match="abab.* the network was loaded from .* cdcd"):
        load_adapter(path, network, "cd" * 32)


def test_other_shapes_and_layers_are_refused_and_change_nothing(tmp_path: Path) -> None:
    network, path = build(), tmp_path / "adapter.safetensors"
    add_adapters(network, AdapterConfig((2,) * 12))
    disturb(network)
    save_adapter(path, network, RECORD)
    for other_ranks, message in [((2,) * 11 + (3,), "shape"), ((2,) * 11 + (0,), "unexpected")]:
        other = build()
        add_adapters(other, AdapterConfig(other_ranks))
        before = embed(other)
        with pytest.raises(CheckpointError, match=message):
            load_adapter(path, other, RECORD.base_sha256)
        assert torch.equal(embed(other), before)


def test_files_that_hold_no_adapter_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    path.write_bytes(b"\x80\x04junk")
    with pytest.raises(CheckpointError, match="not a readable safetensors"):
        read_adapter(path)
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="holds no adapter"):
        read_adapter(path)


def test_what_an_official_base_lacks_is_saved_along() -> None:
    network = build()
    add_adapters(network, AdapterConfig((1,) * 12))
    names = tuned_tensors(network, SAM_GROUPS)
    assert "mask_detail.skip8.weight" in names and "mix2.1.running_mean" in names
    assert "mask_decoder.iou_token.weight" not in names
    assert "mask_detail.skip8.weight" not in tuned_tensors(network)


def test_norms_move_only_where_they_are_trained() -> None:
    network = build()
    network.requires_grad_(False)
    network.fusion.requires_grad_(True)
    set_training_mode(network)
    height, width = WINDOWED.canvas_px
    color, depth = torch.rand(2, 3, height, width) * 255, torch.rand(2, height, width) + 0.5
    before = {name: value.clone() for name, value in network.named_buffers()}
    network.encode(color, depth, torch.tensor([[96.0, 96.0, 48.0, 32.0]]).expand(2, -1))
    moved = {n for n, v in network.named_buffers() if not torch.equal(v, before[n])}
    assert moved and all(name.startswith("fusion.") for name in moved)
    assert moved <= tuned_tensors(network).keys()
