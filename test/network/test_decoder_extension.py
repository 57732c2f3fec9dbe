"""Further tokens in SAM's transformer: what they see, and what they leave alone."""

from __future__ import annotations

import pytest
import torch
from segment_anything.modeling import TwoWayTransformer
from torch import Tensor

from repsam_ros.network.decoder_extension import run_transformer

PROMPTS, WIDTH = 3, 16


def transformer(depth: int = 2) -> TwoWayTransformer:
    torch.manual_seed(0)
    return TwoWayTransformer(depth, WIDTH, 4, 32).eval().requires_grad_(False)


def inputs(further: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Image, its positions, SAM's tokens and further tokens."""
    draw = torch.Generator().manual_seed(1)
    shapes = ((WIDTH, 4, 5), (WIDTH, 4, 5), (5, WIDTH), (further, WIDTH))
    image, position, tokens, extra = (
        torch.randn((PROMPTS, *shape), generator=draw) for shape in shapes
    )
    return image, position, tokens, extra


@pytest.mark.parametrize("shares", [None, torch.zeros(2, 2)])
def test_without_a_share_tokens_and_image_are_exactly_sams(shares: Tensor | None) -> None:
    image, position, tokens, further = inputs()
    expected = transformer()(image, position, tokens)
    out = run_transformer(transformer(), image, position, tokens, further, shares)
    assert torch.equal(out[0], expected[0]) and torch.equal(out[1], expected[1])


@pytest.mark.parametrize("entry", range(4))
def test_every_share_acts_on_tokens_and_image(entry: int) -> None:
    image, position, tokens, further = inputs()
    shares = torch.zeros(4)
    shares[entry] = 0.3
    expected = transformer()(image, position, tokens)
    out = run_transformer(transformer(), image, position, tokens, further, shares.reshape(2, 2))
    for ours, sams in zip(out[:2], expected, strict=True):
        assert (ours - sams).abs().max() > 1e-3


def test_further_tokens_that_are_sams_own_change_nothing() -> None:
    """Attention to a set of tokens and to the same set twice is the same, at any share."""
    image, position, tokens, _ = inputs()
    expected, expected_image = transformer()(image, position, tokens)
    shares = torch.tensor([[0.3, 0.9], [-0.5, 1.0]])
    out = run_transformer(transformer(), image, position, tokens, tokens, shares)
    assert torch.allclose(out[0], expected, atol=1e-5)
    assert torch.allclose(out[1], expected_image, atol=1e-5)
    assert torch.allclose(out[2], expected, atol=1e-5)


def test_a_token_that_only_reads_sees_what_a_common_token_sees() -> None:
    """In one layer whose image ignores tokens, nothing that it changes comes back to it."""
    image, position, tokens, further = inputs()
    one = transformer(depth=1)
    for value in one.layers[0].cross_attn_image_to_token.out_proj.parameters():
        value.zero_()
    common, _ = one(image, position, torch.cat([tokens, further], 1))
    out = run_transformer(one, image, position, tokens, further, None)
    assert torch.allclose(out[2], common[:, 5:], atol=1e-5)
    assert not torch.allclose(out[0], common[:, :5], atol=1e-3), "SAM's tokens see it in common"
