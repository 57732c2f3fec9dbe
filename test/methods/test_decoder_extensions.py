"""Methods that extend the mask decoder: they learn, and see what they should."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable
from typing import NamedTuple, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from repsam_ros.adaptation.ledger import count_parameters
from repsam_ros.methods import Training, open_method
from repsam_ros.methods.query_prompts import PromptGenerator
from repsam_ros.network import sam
from repsam_ros.network.build import EncodedImage, NetworkConfig, RepSam, build_network

SMALL = sam.BackboneSpec((32, 64), 32, 3, 2, (1, 2), 3, True, 16, 32, 0, 16)
POINTS = torch.tensor([[14.0, 12.0], [44.0, 20.0]])
BOTH = pytest.mark.parametrize("name", ["query_prompts", "hq_token"])


class Scene(NamedTuple):
    """Two round objects; ``masks`` (2, H/2, W/2) of the objects under :data:`POINTS`."""

    color: Tensor
    depth_m: Tensor
    intrinsics: Tensor
    masks: Tensor


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sam.BACKBONES, "small", SMALL)


def scene() -> Scene:
    draw = torch.Generator().manual_seed(1)
    height, width = SMALL.canvas_px
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    inside = torch.stack([((x - a) / 9) ** 2 + ((y - b) / 7) ** 2 < 1 for a, b in POINTS])
    color = torch.rand((1, 3, height, width), generator=draw) * 60 + 60
    color[0, :, inside[0]] += 60
    color[0, 0, inside[1]] += 90
    depth_m = torch.where(inside.any(0), 0.9, 1.0)[None]
    masks = F.avg_pool2d(inside[:, None].float(), 2)[:, 0].round()
    return Scene(color, depth_m, torch.tensor([[64.0, 64.0, 31.5, 15.5]]), masks)


def encode(network: RepSam, seen: Scene) -> EncodedImage:
    with torch.no_grad():
        return network.encode(seen.color, seen.depth_m, seen.intrinsics)


def fit(
    network: RepSam,
    parameters: Iterable[nn.Parameter],
    encoded: EncodedImage,
    target: Tensor,
    steps: int = 60,
) -> float:
    """Loss of the two prompts after some steps."""
    optimizer = torch.optim.Adam(parameters, 1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        logits = network.decode(encoded, torch.zeros(2, dtype=torch.long), POINTS).logits
        loss = F.binary_cross_entropy_with_logits(logits, target)
        loss.backward()
        optimizer.step()
    return loss.item()


def trained_base() -> RepSam:
    """A network whose decoder has learned the masks of the scene's objects."""
    return copy.deepcopy(_trained())


@functools.cache
def _trained() -> RepSam:
    torch.manual_seed(0)
    network = build_network(NetworkConfig("small")).requires_grad_(False)
    parts = [network.mask_decoder, network.mask_detail, network.prompt_encoder]
    parameters = [p for part in parts for p in part.requires_grad_(True).parameters()]
    seen = scene()
    assert fit(network, parameters, encode(network, seen), seen.masks) < 0.1
    return network.requires_grad_(False)


def extended(network: RepSam, name: str) -> list[nn.Parameter]:
    torch.manual_seed(3)
    return open_method(name, {"parts": []}).prepare(network, Training())["adapters"]


@BOTH
def test_an_extension_learns_what_training_without_it_does_not(name: str) -> None:
    """The first object is no longer wanted, the second is."""
    base, seen = trained_base(), scene()
    encoded = encode(base, seen)
    target = seen.masks * torch.tensor([0.0, 1.0])[:, None, None]
    losses = []
    for method in ("decoder_only", name):
        network = copy.deepcopy(base)
        torch.manual_seed(3)
        groups = open_method(method, {"parts": ["prompt_encoder"]}).prepare(network, Training())
        trained = [p for group in groups.values() for p in group]
        losses.append(fit(network, trained, encoded, target, 120))
    assert losses[1] < losses[0] / 2


@BOTH
def test_the_ledger_counts_the_extension(name: str) -> None:
    network = build_network(NetworkConfig())
    groups = open_method(name).prepare(network, Training())
    counted = {group: sum(p.numel() for p in added) for group, added in groups.items()}
    assert count_parameters("vit_tiny", name, {}).groups == counted
    assert all(p.device.type == "cpu" for p in network.parameters())


@BOTH
def test_gradients_reach_every_parameter_at_the_second_step(name: str) -> None:
    network, seen = trained_base(), scene()
    parameters = extended(network, name)
    encoded = encode(network, seen)
    optimizer = torch.optim.Adam(parameters, 1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        logits = network.decode(encoded, torch.zeros(2, dtype=torch.long), POINTS).logits
        F.binary_cross_entropy_with_logits(logits, 1 - seen.masks).backward()
        optimizer.step()
    still = [k for k, p in network.named_parameters() if p.requires_grad and not p.grad.any()]
    assert not still


@BOTH
def test_prompts_of_several_images_do_not_mix(name: str) -> None:
    network, seen = trained_base(), scene()
    parameters = extended(network, name)
    with torch.no_grad():
        for value in parameters:
            value.add_(torch.randn(value.shape) * 0.1)
        pair = [torch.cat([value, value.flip(-1)]) for value in seen[:2]]
        encoded = network.encode(*pair, seen.intrinsics.expand(2, -1))
        together = network.decode(encoded, torch.tensor([1, 0]), POINTS).logits
        for index, image in enumerate((1, 0)):
            alone = network.decode(encoded, torch.tensor([image]), POINTS[index : index + 1])
            assert torch.allclose(together[index], alone.logits[0], atol=1e-4)
        swapped = network.decode(encoded, torch.tensor([0, 1]), POINTS).logits
    assert (together - swapped).abs().max() > 0.1


@BOTH
def test_half_precision_starts_from_the_base_too(name: str) -> None:
    network, seen = trained_base(), scene()
    index = torch.zeros(2, dtype=torch.long)

    def logits() -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            encoded = network.encode(seen.color, seen.depth_m, seen.intrinsics)
            return network.decode(encoded, index, POINTS).logits

    before = logits()
    extended(network, name)
    network.requires_grad_(False)
    assert torch.equal(logits(), before)


def generator(network: RepSam) -> PromptGenerator:
    extended(network, "query_prompts")
    return cast(PromptGenerator, network.decoder_extension)


def test_prompts_come_from_what_is_around_their_point() -> None:
    network = build_network(NetworkConfig("small"))
    prompter, encoded = generator(network), encode(network, scene())
    position = network.prompt_encoder.get_dense_pe()
    index = torch.zeros(1, dtype=torch.long)

    def tokens(column: int | None) -> Tensor:
        embedding = encoded.embedding.clone()
        if column is not None:
            embedding[..., column] += 1
        return prompter.tokens(encoded._replace(embedding=embedding), index, POINTS[:1], position)

    assert tokens(None).shape == (1, 5, 16)
    assert not torch.equal(tokens(0), tokens(None))
    assert torch.equal(tokens(3), tokens(None)), "the window ends 30 pixels before this column"


def test_prompts_know_where_their_point_is() -> None:
    network = build_network(NetworkConfig("small"))
    prompter, encoded = generator(network), encode(network, scene())
    even = encoded._replace(embedding=torch.ones_like(encoded.embedding))
    index = torch.zeros(2, dtype=torch.long)
    points = torch.tensor([[24.0, 16.0], [40.0, 16.0]])
    first, second = prompter.tokens(even, index, points, network.prompt_encoder.get_dense_pe())
    assert not torch.allclose(first, second, atol=1e-3)


def test_the_token_reads_features_after_the_first_global_block() -> None:
    network, seen = build_network(NetworkConfig("small")), scene()
    outputs: list[Tensor] = []
    block = network.image_encoder.blocks[SMALL.global_blocks[0]]
    block.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    early = encode(network, seen).early
    assert torch.equal(early, outputs[0].permute(0, 3, 1, 2))
    assert early.shape == (1, 32, 2, 4)


def test_the_token_leaves_the_predicted_quality_alone() -> None:
    network, seen = trained_base(), scene()
    encoded, index = encode(network, seen), torch.zeros(2, dtype=torch.long)
    before = network.decode(encoded, index, POINTS)
    fit(network, extended(network, "hq_token"), encoded, 1 - seen.masks)
    after = network.requires_grad_(False).decode(encoded, index, POINTS)
    assert torch.equal(after.predicted_iou, before.predicted_iou)
    assert not torch.allclose(after.logits, before.logits, atol=1)
