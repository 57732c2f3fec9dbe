"""The network as two modules with plain tensors in and out, which become the ONNX graphs.

They call the network's own code. What changes is a copy of its layers, each in a way that computes
the same: batch norms are part of their convolutions, SAM's encoding of positions is a constant,
norms over channels are layer norms, and relative positions need no bias of all tokens by all tokens
at once.
"""

from __future__ import annotations

import copy

import torch
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from repsam_ros.errors import ConfigError
from repsam_ros.network.build import DecoderState, RepSam
from repsam_ros.network.sam import FusedAttention, relative_positions

PRECISIONS = ("fp32", "fp16")
STATE = DecoderState._fields
# Widths that half-precision attention kernels take.
_HEAD_STEP = 8
# Bias of one head at a time, numbers: 12 heads of them are 50 MB.
_BIAS_SIZE = 2**20


class EncoderGraph(nn.Module):
    """One canvas to its heatmap and to what the decoder needs of it."""

    def __init__(self, network: RepSam) -> None:
        super().__init__()
        self.network = network

    def forward(self, color: Tensor, depth_m: Tensor, intrinsics: Tensor) -> tuple[Tensor, ...]:
        """Heatmap (1, H/4, W/4) in [0, 1], then the fields of ``DecoderState``.

        Args:
            color: (1, H, W, 3) RGB, uint8.
            depth_m: (1, H, W), 0 = invalid.
            intrinsics: (1, 4) fx fy cx cy.
        """
        pixels = color.float().permute(0, 3, 1, 2)  # TensorRT turns no bytes
        encoded = self.network.encode(pixels, depth_m, intrinsics)
        heatmap = encoded.heatmap.float().sigmoid()
        return heatmap, *self.network.decoder_state(encoded)


class DecoderGraph(nn.Module):
    """Masks of all prompts on one canvas."""

    def __init__(self, network: RepSam) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        embedding: Tensor,
        skip2: Tensor,
        skip4: Tensor,
        skip8: Tensor,
        points_m: Tensor,
        normals: Tensor,
        valid: Tensor,
        around: Tensor,
        points_px: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Logits (N, H/2, W/2) and predicted IoU (N,) in [0, 1] of points (N, 2)."""
        state = DecoderState(embedding, skip2, skip4, skip8, points_m, normals, valid, around)
        decoded = self.network.decode_state(state, points_px)
        return decoded.logits.float(), decoded.predicted_iou.float().clamp(0, 1)


@torch.no_grad()
def prepared(network: RepSam, precision: str) -> RepSam:
    """A copy of a network for the graphs, in evaluation mode.

    In fp16, matrix products and convolutions are in half precision; norms, geometry, and the
    encoding of points stay in float32.

    Raises:
        ConfigError: No such precision, or the network has more than the plain layers.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"no graphs in {precision!r}, there are {', '.join(PRECISIONS)}")
    if network.decoder_extension is not None:
        raise ConfigError("a network with a decoder extension cannot be exported")
    result = copy.deepcopy(network).eval().requires_grad_(False)
    half = precision == "fp16"
    for module in list(result.modules()):
        if isinstance(module, nn.Sequential):
            _fold_norms(module)
        elif isinstance(module, LayerNorm2d):
            module.__class__ = ChannelNorm
        elif isinstance(module, nn.LayerNorm):
            module.__class__ = TokenNorm
        elif isinstance(module, FusedAttention) and module.use_rel_pos:
            module.__class__ = AugmentedAttention if half else RowwiseAttention
    encoder = result.prompt_encoder
    encoder.register_buffer("dense_position", encoder.get_dense_pe())
    encoder.get_dense_pe = lambda: encoder.dense_position
    if half:
        _halve(result)
    return result


def _fold_norms(layers: nn.Sequential) -> None:
    pairs = list(zip(layers, list(layers)[1:], strict=False))
    for index, (first, second) in enumerate(pairs):
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            layers[index] = fuse_conv_bn_eval(first, second)
            layers[index + 1] = nn.Identity()


class ChannelNorm(LayerNorm2d):  # type: ignore[misc]
    """SAM's norm over channels as a layer norm, in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        last = x.permute(0, 2, 3, 1).float()
        normed = F.layer_norm(last, self.weight.shape, self.weight, self.bias, self.eps)
        return normed.permute(0, 3, 1, 2).to(x.dtype)


class TokenNorm(nn.LayerNorm):
    """A layer norm in float32, whatever its input is in."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same."""
        return super().forward(x.float()).to(x.dtype)


class RowwiseAttention(FusedAttention):
    """SAM's relative positions as a bias of a few rows of queries at a time.

    On CPUs this is faster than longer queries and keys, which triple the product of the two.
    """

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, height: int, width: int) -> Tensor:
        over_rows, over_columns = relative_positions(self, height, width, q)
        queries, keys = (q * self.scale).unflatten(2, (height, width)), k.transpose(-1, -2)
        step = max(1, _BIAS_SIZE // (height * width * width))
        parts = []
        for start in range(0, height, step):
            rows = slice(start, min(start + step, height))
            bias = over_rows[:, :, rows, :, :, None] + over_columns[:, :, rows, :, None]
            scores = queries[:, :, rows].flatten(2, 3) @ keys + bias.flatten(4).flatten(2, 3)
            parts.append(scores.softmax(-1) @ v)
        return torch.cat(parts, 2)


class AugmentedAttention(FusedAttention):
    """SAM's relative positions as further columns of queries and keys: exact, and no bias.

    The bias of a query and a key is a product of the query with the key's row and one with its
    column; keys that say their row and column as one-hot vectors pick both. Compilers for GPUs
    fuse attention without a bias, so that its scores never lie in memory.
    """

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, height: int, width: int) -> Tensor:
        batch, heads, tokens, dim = q.shape
        rows, columns = relative_positions(self, height, width, q)
        index = torch.arange(tokens, device=q.device)
        places = torch.cat(
            [F.one_hot(index // width, height), F.one_hot(index % width, width)], 1
        ).to(q.dtype)
        queries = torch.cat([q * self.scale, rows.flatten(2, 3), columns.flatten(2, 3)], -1)
        keys = torch.cat([k, places.expand(batch, heads, -1, -1)], -1)
        # Fused kernels want one width for all three, and an even one.
        wide = -(-queries.shape[-1] // _HEAD_STEP) * _HEAD_STEP
        queries, keys, v = (F.pad(x, (0, wide - x.shape[-1])) for x in (queries, keys, v))
        return F.scaled_dot_product_attention(queries, keys, v, scale=1.0)[..., :dim]


def _halve(network: RepSam) -> None:
    """Half precision in matrix products and convolutions and in what is added to their results."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            module.half().register_forward_pre_hook(_to_half)
        elif isinstance(module, AugmentedAttention):
            module.rel_pos_h.data = module.rel_pos_h.half()
            module.rel_pos_w.data = module.rel_pos_w.half()
    encoder = network.prompt_encoder
    encoder.no_mask_embed.half()
    encoder.dense_position = encoder.dense_position.half()
    network.fusion.gains.half()
    positions = network.image_encoder.pos_embed
    if positions is not None:
        positions.data = positions.half()


def _to_half(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0].half(),)
