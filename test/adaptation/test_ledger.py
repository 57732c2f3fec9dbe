"""The ledger: SAM's known sizes, and the same count as the prepared network's."""

from __future__ import annotations

import pytest
import torch

from repsam_ros.adaptation.ledger import count_parameters, text_table
from repsam_ros.errors import ConfigError
from repsam_ros.methods import Training, open_method
from repsam_ros.network.build import NetworkConfig, build_network

RANKS = {"ranks": (4,) * 8}


def test_vit_h_has_its_published_size() -> None:
    ledger = count_parameters("vit_h", "zero_shot", {})
    assert ledger.encoder_params == 637_026_048
    assert ledger.encoder_params_without_positions == 637_026_048 - 64 * 64 * 1280
    assert ledger.total_params == 641_090_608
    assert ledger.rank_cost == {"qkv": 5120, "qkv+proj": 7680, "qkv+proj+lin1+lin2": 20480}
    assert ledger.trainable_total == 0 and ledger.reduction is None


def test_the_shipped_allocation_trains_4_of_632_million() -> None:
    ledger = count_parameters("vit_h", "repsam", {})
    assert {"adapters", "fusion", "prompt_head"} <= ledger.groups.keys()
    assert ledger.trainable_total == sum(ledger.groups.values()) <= 4_000_000
    # No further rank fits.
    assert 4_000_000 - ledger.trainable_total < ledger.rank_cost["qkv+proj"]
    assert ledger.reduction == pytest.approx(158, abs=0.5)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("repsam", RANKS | {"parts": ("fusion",)}),
        ("lora", {"rank": 3, "modules": ("qkv", "lin1")}),
        ("dora", {}),
        ("vera", {}),
        ("decoder_only", {}),
        ("full_finetuning", {}),
    ],
)
def test_it_counts_what_the_method_makes_trainable(method: str, options: dict) -> None:
    ledger = count_parameters("vit_tiny", method, options)
    network = build_network(NetworkConfig())
    open_method(method, options).prepare(network, Training())
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert ledger.trainable_total == trained > 0


def test_adapters_cost_what_the_allocation_says() -> None:
    lora = count_parameters("vit_tiny", "lora", {"rank": 3, "parts": ()})
    assert lora.groups == {"adapters": 8 * 3 * lora.rank_cost["qkv+proj"]}
    dora = count_parameters("vit_tiny", "dora", {"rank": 3, "parts": ()})
    assert dora.trainable_total - lora.trainable_total == 8 * (3 * 192 + 192)


def test_all_of_the_network_is_sams_or_added() -> None:
    ledger = count_parameters("vit_tiny", "full_finetuning", {})
    # Embeddings of boxes, masks and negative points, which no prompt here uses.
    prompts = build_network(NetworkConfig("vit_tiny")).prompt_encoder
    idle = sum(p.numel() for p in prompts.mask_downscaling.parameters())
    idle += sum(prompts.point_embeddings[k].weight.numel() for k in (0, 2, 3))
    total = ledger.total_params + sum(ledger.added_params.values())
    assert total == ledger.trainable_total + idle
    assert f"{ledger.trainable_total:,}" in text_table(ledger)


def test_counting_leaves_the_random_state_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    count_parameters("vit_tiny", "lora", {})
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("model", "method", "options", "message"),
    [
        ("vit_x", "lora", {}, "vit_tiny"),
        ("vit_tiny", "best", {}, "lora"),
        ("vit_tiny", "lora", {"width": 3}, "width"),
        ("vit_b", "repsam", {}, "ranks"),
    ],
)
def test_what_is_unknown_is_named(model: str, method: str, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        count_parameters(model, method, options)
