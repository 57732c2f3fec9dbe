"""The contract that all methods keep, and what is special about some."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from repsam_ros.errors import BackendError, CheckpointError, ConfigError
from repsam_ros.methods import (
    PARTS,
    Method,
    Training,
    load_method,
    method_names,
    method_options,
    open_method,
    resolved_config,
)
from repsam_ros.methods._galore_adamw import GaLoreAdamW
from repsam_ros.network import sam
from repsam_ros.network.adapter_files import (
    AdapterRecord,
    save_adapter,
    set_training_mode,
    tuned_tensors,
)
from repsam_ros.network.build import NetworkConfig, RepSam, build_network
from repsam_ros.network.ranks import RankAllocation, save_allocation

SMALL = sam.BackboneSpec((32, 64), 32, 3, 2, (1, 2), 3, True, 16, 32, 0, 16)
BASE = "ab" * 32
# What methods must be told; everything else works with its defaults.
OPTIONS: dict[str, dict[str, Any]] = {
    "eva": {"tau": 0.5},  # converges sooner
    "vera": {"rank": 8},
    "repsam": {"ranks": [3, 0, 5]},
    "galore": {"rank": 4},
}
UNMERGEABLE = {"dual_stream", "hq_token", "query_prompts", "sam_adapter"}
EVERY = pytest.mark.parametrize("name", method_names())


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sam.BACKBONES, "small", SMALL)


def base() -> RepSam:
    torch.manual_seed(0)
    network = build_network(NetworkConfig("small"))
    # A base has been trained: what is zero in a fresh network lets no gradient through.
    torch.nn.init.normal_(network.mask_detail.hyper.layers[-1].weight, std=0.02)
    return network


def opened(name: str, **options: Any) -> Method:
    return open_method(name, {**OPTIONS.get(name, {}), **options})


def outputs(network: RepSam, seed: int) -> list[Tensor]:
    """Masks, their quality and the prompt head of two random pictures."""
    draw = torch.Generator().manual_seed(seed)
    height, width = SMALL.canvas_px
    color = torch.rand((2, 3, height, width), generator=draw) * 255
    depth = 0.8 + 0.2 * torch.rand((2, height, width), generator=draw)
    camera = torch.tensor([[64.0, 64.0, 31.5, 15.5]]).expand(2, -1)
    encoded = network.encode(color, depth, camera)
    points = torch.tensor([[20.0, 10.0], [50.0, 25.0]])
    decoded = network.decode(encoded, torch.tensor([0, 1]), points)
    return [decoded.logits, decoded.predicted_iou, encoded.heatmap, encoded.foreground]


def loss_of(seed: int) -> Callable[[RepSam], Tensor]:
    def loss(network: RepSam) -> Tensor:
        return sum((F.softplus(value).mean() for value in outputs(network, seed)), Tensor([0])[0])

    return loss


TRAINING = Training(steps=10, losses=[loss_of(seed) for seed in range(3)])


def looks(network: RepSam) -> list[Tensor]:
    # PyTorch multiplies matrices in another order where one of them requires a gradient.
    still = copy.deepcopy(network).requires_grad_(False).eval()
    with torch.no_grad():
        return outputs(still, 100)


def equal(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def distance(first: list[Tensor], second: list[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(first, second, strict=True))


def train(method: Method, network: RepSam, steps: int = 2, first: int = 0) -> None:
    """Steps of the training loop, as a trainer does them."""
    set_training_mode(network)
    if not any(p.requires_grad for p in network.parameters()):
        return
    optimizer = method.optimizer(network, 1e-2, 0.05)
    for step in range(first, first + steps):
        optimizer.zero_grad()
        loss = loss_of(step)(network)
        extra = method.extra_loss(network)
        (loss if extra is None else loss + extra).backward()
        optimizer.step()
        method.after_step(network, step)


def record(method: Method) -> AdapterRecord:
    config = resolved_config(method)
    return AdapterRecord(method.name, config, {"backbone": "small"}, "base", BASE, 0)


@EVERY
def test_a_prepared_network_is_its_base(name: str) -> None:
    network = base()
    before = looks(network)
    opened(name).prepare(network, TRAINING)
    assert equal(looks(network), before)


@EVERY
def test_exactly_the_declared_parameters_are_trainable(name: str) -> None:
    network = base()
    groups = opened(name).prepare(network, TRAINING)
    declared = [p for group in groups.values() for p in group]
    trainable = [p for p in network.parameters() if p.requires_grad]
    assert len(declared) == len({id(p) for p in declared}), "a parameter is in two groups"
    assert {id(p) for p in declared} == {id(p) for p in trainable}
    assert all(groups.values())
    assert bool(groups) == (name != "zero_shot")


@EVERY
def test_training_changes_what_is_declared_and_nothing_else(name: str) -> None:
    network, method = base(), opened(name)
    method.prepare(network, TRAINING)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    declared = tuned_tensors(network).keys()
    train(method, network)
    after = network.state_dict()
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert changed <= declared
    with_gradient = {k for k, p in network.named_parameters() if p.grad is not None}
    assert with_gradient <= changed, "a parameter that is trained did not move"


@EVERY
def test_a_saved_method_is_restored(name: str, tmp_path: Path) -> None:
    network, method = base(), opened(name)
    method.prepare(network, TRAINING)
    train(method, network)
    path = tmp_path / "adapter.safetensors"
    save_adapter(path, network, record(method))
    other = base()
    loaded, told = load_method(path, other, BASE)
    assert (loaded.name, told.seed) == (name, 0)
    assert loaded.config == method.config
    assert equal(looks(other), looks(network))
    with pytest.raises(CheckpointError, match="was trained on base"):
        load_method(path, base(), "cd" * 32)


@EVERY
def test_merged_equals_unmerged(name: str) -> None:
    network, method = base(), opened(name)
    names = list(network.state_dict())
    method.prepare(network, TRAINING)
    train(method, network)
    before = looks(network)
    if name in UNMERGEABLE:
        with pytest.raises(ConfigError, match=f"{name} cannot be merged"):
            method.merge(network)
        return
    merged = method.merge(network)
    assert distance(looks(merged), before) < 1e-5
    assert list(merged.state_dict()) == names
    assert equal(looks(network), before), "merging changed the network itself"


@EVERY
def test_the_same_seed_gives_the_same_training(name: str) -> None:
    results = []
    for _ in range(2):
        network, method = base(), opened(name)
        torch.manual_seed(5)
        method.prepare(network, TRAINING)
        train(method, network)
        results.append(looks(network))
    assert equal(*results)


def test_full_finetuning_trains_every_parameter_that_can_learn() -> None:
    network = base().requires_grad_(True)
    loss_of(0)(network).backward()
    learning = {name for name, value in network.named_parameters() if value.grad is not None}
    network = base()
    groups = open_method("full_finetuning").prepare(network, Training())
    assert groups.keys() == PARTS.keys()
    assert {name for name, value in network.named_parameters() if value.requires_grad} == learning


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        # qkv has 32 + 96 inputs and outputs, proj 32 + 32: 192 a rank and block.
        ("lora", {"rank": 4}, 4 * 192 * 3),
        ("dora", {"rank": 4}, 4 * 192 * 3 + 128 * 3),
        ("vera", {"rank": 8}, (128 + 2 * 8) * 3),
        ("adalora", {"rank": 2, "start_rank": 3}, 3 * (192 + 2) * 3),
        ("gradient", {"rank": 4}, 4 * 192 * 3),
        ("repsam", {"ranks": [3, 0, 5]}, 8 * 192),
        ("sam_adapter", {"reduction": 8}, 132 + 3 * 16 * 16 * 4 + 4 + 3 * 20 + 32 * 5),
        ("dual_stream", {"width": 8}, 3 * (33 * 8 + 17 * 8 + 17 * 32)),
        # Features, convolution, three linear layers (of 4 x 4 x 8 inputs), norm, shares.
        (
            "query_prompts",
            {"tokens": 2, "width": 8},
            17 * 8 + 73 * 8 + 129 * 8 + 9 * 8 + 9 * 2 * 16 * 2 + 2 * 16 + 2 * 2,
        ),
        # Token, MLP, early features, embedding, mask features; norms have two vectors.
        (
            "hq_token",
            {},
            16
            + (2 * 17 * 16 + 17 * 2)
            + (32 * 16 * 4 + 16 * 3 + 16 * 2 * 4 + 2)
            + (16 * 4 * 4 + 4 * 3 + 4 * 2 * 4 + 2)
            + (19 * 4 + 4 * 2 + 37 * 2),
        ),
    ],
)
def test_counts_are_those_that_formulas_give(
    name: str, options: dict[str, Any], count: int
) -> None:
    groups = opened(name, **options, parts=[]).prepare(base(), TRAINING)
    assert sum(p.numel() for p in groups["adapters"]) == count
    assert groups.keys() == {"adapters"}


def test_an_unknown_name_or_option_lists_what_there_is() -> None:
    with pytest.raises(ConfigError, match="unknown method 'lor'; there are: adalora"):
        open_method("lor")
    with pytest.raises(ConfigError, match="unknown key rang"):
        open_method("lora", {"rang": 3})
    with pytest.raises(ConfigError, match="unknown part 'neck'; there are image_encoder"):
        open_method("lora", {"parts": ["neck"]})
    assert "rank" in method_options("lora")


@pytest.mark.parametrize("name", ["eva", "gradient"])
def test_ranks_from_data_need_data_or_ranks(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} chooses its ranks from data"):
        open_method(name).prepare(base(), Training())
    told = open_method(name, {"ranks": [1, 2, 3]})
    assert sum(map(len, told.prepare(base(), Training()).values()))


def test_eva_starts_from_directions_of_the_inputs_and_keeps_the_sum_of_ranks() -> None:
    network, method = base(), opened("eva", rank=4)
    method.prepare(network, TRAINING)
    assert len(method.config.ranks) == 6 and sum(method.config.ranks) == 6 * 4
    assert max(method.config.ranks) <= 8
    seen = 0
    for name, layer in network.named_modules():
        if hasattr(layer, "lora_A") and layer.lora_A:
            rows = layer.lora_A["default"].weight
            assert torch.allclose(rows @ rows.T, torch.eye(len(rows)), atol=1e-4), name
            seen += 1
    assert seen == sum(rank > 0 for rank in method.config.ranks)


def test_gradient_ranks_follow_the_gradient_and_leave_no_trace() -> None:
    network, method = base(), open_method("gradient", {"rank": 4, "modules": ["qkv"]})
    with torch.no_grad():  # nothing of what this block attends to passes on
        network.image_encoder.blocks[1].attn.proj.weight.zero_()
    norms = [value.clone() for _, value in network.named_buffers()]
    method.prepare(network, TRAINING)
    assert sum(method.config.ranks) == 12
    assert method.config.ranks[1] == 0
    assert all(p.grad is None for p in network.parameters())
    assert equal(norms, [value for _, value in network.named_buffers()])


def test_repsam_reads_the_ranks_that_were_allocated(tmp_path: Path) -> None:
    path = tmp_path / "ranks.json"
    save_allocation(
        path, RankAllocation("cka", 1600, 1536, 0, (1, 5, 2), (192,) * 3, (0.1, 0.5, 0.2))
    )
    method = open_method("repsam", {"ranks_file": str(path)})
    groups = method.prepare(base(), Training())
    assert method.config.ranks == (1, 5, 2)
    assert sum(p.numel() for p in groups["adapters"]) == 1536
    assert groups.keys() == {"adapters", "fusion", "prompt_head"}
    with pytest.raises(ConfigError, match="give ranks_file"):
        open_method("repsam")


@pytest.mark.parametrize("name", ["lora", "eva"])
def test_a_missing_package_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    monkeypatch.delitem(sys.modules, f"repsam_ros.methods.{name}", raising=False)
    with pytest.raises(BackendError, match=r"need PEFT: pip install 'repsam_ros\[adaptation\]'"):
        opened(name, **OPTIONS.get(name, {})).prepare(base(), TRAINING)


def test_ranks_of_other_layers_are_refused_and_their_report_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "ranks.json"
    ranks = RankAllocation("cka", 1600, 1536, 0, (1, 5, 2), (192,) * 3, (0.1, 0.5, 0.2), "ef" * 32)
    config = {"modules": ["qkv"], "parts": ["fusion", "prompt_head"]}
    save_allocation(path, ranks, config=config)
    with pytest.raises(ConfigError, match=r"planned for modules \['qkv'\], the method has .*proj"):
        open_method("repsam", {"ranks_file": str(path)}).prepare(base(), Training())
    method = open_method("repsam", {"ranks_file": str(path), "modules": ["qkv"]})
    method.prepare(base(), Training())
    assert method.config.cka_sha256 == "ef" * 32
    assert open_method("repsam", resolved_config(method)).config == method.config


def test_adalora_takes_ranks_away_until_the_target_is_left() -> None:
    network = base()
    method = opened("adalora", rank=2, start_rank=4, every=1, warmup=0.2, settled=0.4)
    method.prepare(network, TRAINING)
    train(method, network, steps=10)
    values = [v for k, v in network.named_parameters() if ".lora_E." in k]
    assert sum(len(v) for v in values) == 4 * 6
    assert sum(int((v != 0).sum()) for v in values) == 2 * 6


def test_adalora_goes_on_after_a_stop_as_if_nothing_had_happened() -> None:
    def start() -> tuple[RepSam, Method]:
        network = base()
        method = opened("adalora", rank=2, start_rank=4, every=1, warmup=0.2, settled=0.2)
        torch.manual_seed(5)
        method.prepare(network, TRAINING)
        return network, method

    whole, method = start()
    train(method, whole, 5)
    stopped = {k: v.clone() for k, v in whole.state_dict().items()}
    state = {k: v.clone() for k, v in method.state().items()}
    train(method, whole, 5, first=5)
    resumed, method = start()
    resumed.load_state_dict(stopped)
    method.load_state(state)
    train(method, resumed, 5, first=5)
    assert equal(looks(resumed), looks(whole))


def test_adaloras_loss_is_zero_for_orthonormal_vectors() -> None:
    network, method = base(), opened("adalora")
    method.prepare(network, TRAINING)
    before = method.extra_loss(network)
    assert before is not None and before > 0
    with torch.no_grad():
        for name, value in network.named_parameters():
            if ".lora_A." in name or ".lora_B." in name:
                torch.nn.init.orthogonal_(value)
    after = method.extra_loss(network)
    assert after is not None and after < 1e-5


def test_galore_keeps_moments_in_the_subspace_and_equals_adamw_outside() -> None:
    torch.manual_seed(0)
    matrix, vector = (torch.nn.Parameter(torch.randn(shape)) for shape in ((12, 40), (7,)))
    twin = torch.nn.Parameter(vector.detach().clone())
    ours = GaLoreAdamW([{"params": [matrix, vector], "weight_decay": 0.1}], 1e-2, 4, 2, 0.25)
    theirs = torch.optim.AdamW([twin], lr=1e-2, betas=(0.9, 0.98), weight_decay=0.1)
    for _ in range(3):
        matrix.grad = torch.randn_like(matrix)
        vector.grad = torch.randn_like(vector)
        twin.grad = vector.grad.clone()
        before = matrix.detach().clone()
        ours.step()
        theirs.step()
        step = matrix.detach() - before * (1 - 1e-2 * 0.1)
        assert torch.linalg.matrix_rank(step, rtol=1e-3) == 4
    assert ours.state[matrix]["exp_avg"].shape == (4, 40)
    assert torch.allclose(vector, twin, atol=1e-6)


def test_galore_resumes_from_tensors_alone(tmp_path: Path) -> None:
    def steps(weight: torch.nn.Parameter, optimizer: GaLoreAdamW, first: int) -> None:
        for step in range(first, first + 3):
            draw = torch.Generator().manual_seed(step)
            weight.grad = torch.randn(weight.shape, generator=draw)
            optimizer.step()

    def start() -> tuple[torch.nn.Parameter, GaLoreAdamW]:
        weight = torch.nn.Parameter(torch.ones(9, 6))
        return weight, GaLoreAdamW([{"params": [weight]}], 1e-2, 2, 4, 1.0)

    whole, optimizer = start()
    steps(whole, optimizer, 0)
    torch.save((whole.detach(), optimizer.state_dict()), tmp_path / "state.pt")
    steps(whole, optimizer, 3)
    resumed, optimizer = start()
    value, state = torch.load(tmp_path / "state.pt", weights_only=True)
    resumed.data.copy_(value)
    optimizer.load_state_dict(state)
    steps(resumed, optimizer, 3)
    assert torch.equal(resumed, whole)
