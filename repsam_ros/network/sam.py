"""Segment Anything backbones from the ``segment-anything`` package's own classes.

Kirillov et al., "Segment Anything", ICCV 2023. The official sizes keep every name and shape, so
that official checkpoints load; ``vit_tiny`` is the compact size that this project trains itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, TwoWayTransformer
from segment_anything.modeling.image_encoder import Attention, get_rel_pos
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from repsam_ros.network.backbones import Backbone

PATCH_PX = 16
# Numbers of a bias that are added at a time, of one head.
_CACHED_BIAS = 2**18
# Beginnings of the names of SAM's own tensors.
SAM_GROUPS = ("image_encoder.", "prompt_encoder.", "mask_decoder.")
# SAM's pixel statistics (ImageNet), RGB in 0..255.
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class BackboneSpec:
    """Shape of one SAM; a :class:`repsam_ros.network.backbones.Backbone`.

    Attributes:
        canvas_px: (height, width) of the image that the encoder sees.
        embed_dim, depth, heads: Of the image encoder.
        global_blocks: Blocks with global attention, before which depth is added.
        window: Side of the windowed attention, tokens; 0 = all blocks are global.
        relative_positions: Whether attention has SAM's decomposed relative positions.
        prompt_dim: Width of the image embedding, the prompts and the mask decoder.
        decoder_mlp: Hidden width of the mask decoder's transformer.
        multimask_outputs: Masks beside the first one that the decoder predicts.
        depth_dim: Width of the depth tokens that fusion projects to ``embed_dim``.
    """

    canvas_px: tuple[int, int]
    embed_dim: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    window: int
    relative_positions: bool
    prompt_dim: int
    decoder_mlp: int
    multimask_outputs: int
    depth_dim: int

    official_groups: ClassVar[tuple[str, ...]] = SAM_GROUPS
    package: ClassVar[str] = "segment-anything"
    checkpoint: ClassVar[str] = "models/manifest.yaml"

    @property
    def additions(self) -> Mapping[int, int]:
        """Before the blocks with global attention."""
        return dict.fromkeys(self.global_blocks, self.embed_dim)

    @property
    def neck_blocks(self) -> tuple[int, ...]:
        """The last one."""
        return (self.depth - 1,)

    def build_encoder(self) -> ImageEncoder:
        """SAM's image encoder with fresh weights."""
        return ImageEncoder(self)

    def from_official(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The names are SAM's own."""
        return dict(state)


def _official(embed_dim: int, depth: int, heads: int, blocks: tuple[int, ...]) -> BackboneSpec:
    return BackboneSpec((1024, 1024), embed_dim, depth, heads, blocks, 14, True, 256, 2048, 3, 64)


BACKBONES: dict[str, BackboneSpec] = {
    # 4:3 like most depth cameras; 300 tokens are few enough for global attention everywhere.
    "vit_tiny": BackboneSpec((240, 320), 192, 8, 6, (1, 3, 5, 7), 0, False, 128, 512, 0, 192),
    "vit_b": _official(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": _official(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": _official(1280, 32, 16, (7, 15, 23, 31)),
}


class FusedAttention(Attention):  # type: ignore[misc]
    """SAM's attention through PyTorch's fused kernel: same weights, same result, less memory."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) tokens to (B, H, W, C)."""
        batch, height, width, _ = x.shape
        qkv = self.qkv(x).reshape(batch, height * width, 3, self.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        out = self._attend(q, k, v, height, width)
        merged: Tensor = self.proj(out.transpose(1, 2).reshape(batch, height, width, -1))
        return merged

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, height: int, width: int) -> Tensor:
        if not self.use_rel_pos:
            return F.scaled_dot_product_attention(q, k, v)
        over_rows, over_columns = relative_positions(self, height, width, q)
        step = height
        if q.device.type == "cpu":  # whose caches do not hold the bias of all tokens
            step = max(1, min(height, _CACHED_BIAS // (height * width * width)))
        parts = []
        for rows in range(0, height, step):
            rows_bias, columns_bias = (
                x[:, :, rows : rows + step] for x in (over_rows, over_columns)
            )
            bias = rows_bias[..., :, None] + columns_bias[..., None, :]
            queries = q[:, :, rows * width : (rows + step) * width]
            bias = bias.reshape(*queries.shape[:3], -1)
            parts.append(F.scaled_dot_product_attention(queries, k, v, attn_mask=bias))
        return torch.cat(parts, 2)


def relative_positions(
    attention: Attention, height: int, width: int, q: Tensor
) -> tuple[Tensor, Tensor]:
    """What SAM's attention adds for each row and for each column of keys.

    Args:
        q: (B, heads, height * width, C) queries.

    Returns:
        (B, heads, height, width, height) and (B, heads, height, width, width).
    """
    grid = q.reshape(*q.shape[:2], height, width, -1)
    rows = get_rel_pos(height, height, attention.rel_pos_h).to(q.dtype)
    columns = get_rel_pos(width, width, attention.rel_pos_w).to(q.dtype)
    over_rows = torch.einsum("bnhwc,hkc->bnhwk", grid, rows)
    over_columns = torch.einsum("bnhwc,wkc->bnhwk", grid, columns)
    return over_rows, over_columns


class ImageEncoder(ImageEncoderViT):  # type: ignore[misc]
    """SAM's image encoder, on canvases that need not be square.

    Positions of tokens are those of the top-left part of the square that the tables were made
    for, so a canvas lies where SAM puts an image before padding.
    """

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__(
            img_size=max(spec.canvas_px),
            patch_size=PATCH_PX,
            embed_dim=spec.embed_dim,
            depth=spec.depth,
            num_heads=spec.heads,
            out_chans=spec.prompt_dim,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=spec.relative_positions,
            window_size=spec.window,
            global_attn_indexes=spec.global_blocks,
        )
        for block in self.blocks:
            block.attn.__class__ = FusedAttention

    def embed(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) normalised pixels to (B, H / 16, W / 16, C) tokens with positions."""
        tokens: Tensor = self.patch_embed(pixels)
        if self.pos_embed is None:
            return tokens
        positions: Tensor = self.pos_embed[:, : tokens.shape[1], : tokens.shape[2]]
        return tokens + positions


def build_prompt_encoder(spec: Backbone) -> PromptEncoder:
    """SAM's prompt encoder for the spec's canvas."""
    height, width = spec.canvas_px
    return PromptEncoder(
        embed_dim=spec.prompt_dim,
        image_embedding_size=(height // PATCH_PX, width // PATCH_PX),
        input_image_size=(height, width),
        mask_in_chans=16,
    )


def build_mask_decoder(spec: Backbone) -> MaskDecoder:
    """SAM's mask decoder."""
    transformer = TwoWayTransformer(
        depth=2, embedding_dim=spec.prompt_dim, mlp_dim=spec.decoder_mlp, num_heads=8
    )
    return MaskDecoder(
        num_multimask_outputs=spec.multimask_outputs,
        transformer=transformer,
        transformer_dim=spec.prompt_dim,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )


def normalise(color: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in 0..255 to SAM's normalised pixels."""
    mean = color.new_tensor(PIXEL_MEAN)[:, None, None]
    std = color.new_tensor(PIXEL_STD)[:, None, None]
    return (color - mean) / std
