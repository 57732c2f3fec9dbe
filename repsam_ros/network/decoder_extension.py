"""An opening of the mask decoder: further tokens beside SAM's, and a say in the mask.

A method sets ``RepSam.decoder_extension``; every weight keeps its name and its values. SAM's
tokens and image run through the same layers in the same order as without an extension, so that
a network whose shares are zero computes exactly what it did before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from repsam_ros.network.build import EncodedImage


class DecoderExtension(nn.Module, ABC):
    """What a method adds to the mask decoder."""

    @abstractmethod
    def tokens(
        self, encoded: EncodedImage, image_index: Tensor, points_px: Tensor, position: Tensor
    ) -> Tensor:
        """Further tokens (N, K, C) of N prompts.

        Args:
            encoded: B canvases.
            image_index: (N,) int64, canvas of each prompt.
            points_px: (N, 2) x, y on the canvas.
            position: (1, C, H/16, W/16) SAM's encoding of positions on the canvas.
        """

    def shares(self) -> Tensor | None:
        """See :func:`run_transformer`; None leaves SAM's tokens and image as they are."""
        return None

    def correct(
        self,
        mask: Tensor,
        out: Tensor,
        upscaled: Tensor,
        encoded: EncodedImage,
        image_index: Tensor,
    ) -> Tensor:
        """Mask logits (N, H/4, W/4), corrected.

        Args:
            mask: What SAM's token predicts, (N, H/4, W/4).
            out: The further tokens after the transformer, (N, K, C).
            upscaled: (N, C/8, H/4, W/4) upscaled embedding.
            encoded: B canvases.
            image_index: (N,) int64, canvas of each prompt.
        """
        return mask


class _Streams(NamedTuple):
    """SAM's tokens (N, T, C), further tokens (N, K, C) and the image (N, h w, C)."""

    tokens: Tensor
    further: Tensor
    image: Tensor


def run_transformer(
    transformer: Any,
    source: Tensor,
    position: Tensor,
    tokens: Tensor,
    further: Tensor,
    shares: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """SAM's two-way transformer with further tokens.

    Further tokens attend to all tokens and to the image, as SAM's own do. SAM's tokens and the
    image attend to them apart from the rest, which keeps the sum of a softmax out of play:
    ``(1 - share) attention(SAM's tokens) + share attention(further tokens)``, after the
    zero-initialised attention of Zhang et al., "LLaMA-Adapter", 2023.

    Args:
        transformer: SAM's ``TwoWayTransformer``.
        source: (N, C, h, w) image.
        position: Encoding of its positions, of the same shape.
        tokens: (N, T, C).
        further: (N, K, C).
        shares: (layers, 2), of the tokens' attention and of the image's; None: all zero.

    Returns:
        Tokens, image (N, h w, C) and further tokens.
    """
    start = _Streams(tokens, further, position.flatten(2).transpose(1, 2))
    now = _Streams(tokens, further, source.flatten(2).transpose(1, 2))
    for index, layer in enumerate(transformer.layers):
        of_layer = (None, None) if shares is None else shares[index].unbind()
        now = _run_layer(layer, now, start, of_layer)
    keys = now.image + start.image
    out, further_out = (
        transformer.norm_final_attn(
            x + transformer.final_attn_token_to_image(q=x + pe, k=keys, v=now.image)
        )
        for x, pe in ((now.tokens, start.tokens), (now.further, start.further))
    )
    return out, now.image, further_out


def _run_layer(
    layer: Any, now: _Streams, start: _Streams, shares: Sequence[Tensor | None]
) -> _Streams:
    """One ``TwoWayAttentionBlock``."""
    tokens, further, image = now
    first = layer.skip_first_layer_pe
    own = (tokens if first else tokens + start.tokens, tokens)
    added = (further if first else further + start.further, further)
    both = (torch.cat([own[0], added[0]], 1), torch.cat([tokens, further], 1))
    seen = _attend(layer.self_attn, own[0], own, added, shares[0])
    seen_by_further = layer.self_attn(q=added[0], k=both[0], v=both[1])
    tokens = layer.norm1(seen if first else tokens + seen)
    further = layer.norm1(seen_by_further if first else further + seen_by_further)

    keys = image + start.image
    tokens, further = (
        _read_image(layer, x, pe, keys, image)
        for x, pe in ((tokens, start.tokens), (further, start.further))
    )
    own, added = (tokens + start.tokens, tokens), (further + start.further, further)
    seen = _attend(layer.cross_attn_image_to_token, keys, own, added, shares[1])
    return _Streams(tokens, further, layer.norm4(image + seen))


def _read_image(layer: Any, x: Tensor, pe: Tensor, keys: Tensor, image: Tensor) -> Tensor:
    x = layer.norm2(x + layer.cross_attn_token_to_image(q=x + pe, k=keys, v=image))
    result: Tensor = layer.norm3(x + layer.mlp(x))
    return result


def _attend(
    attention: Any,
    queries: Tensor,
    own: tuple[Tensor, Tensor],
    added: tuple[Tensor, Tensor],
    share: Tensor | None,
) -> Tensor:
    """Attention to keys and values of SAM's tokens, and by ``share`` to those of the further."""
    seen: Tensor = attention(q=queries, k=own[0], v=own[1])
    if share is None:
        return seen
    of_added: Tensor = attention(q=queries, k=added[0], v=added[1])
    return seen + share * (of_added - seen)
