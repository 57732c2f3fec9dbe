"""The only place where a network is assembled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from repsam_ros.network.backbones import backbone_spec
from repsam_ros.network.columns import halved, weighted_sum
from repsam_ros.network.decoder_extension import DecoderExtension, run_transformer
from repsam_ros.network.fusion import STEM_WIDTHS, DepthFusion, Pyramid, Stem, conv_block
from repsam_ros.network.geometry import (
    FEATURE_COUNT,
    Geometry,
    dense_geometry,
    of_prompts,
    prompt_relations,
)
from repsam_ros.network.heads import GeometricPrompt, MaskDetail, PromptHead
from repsam_ros.network.sam import build_mask_decoder, build_prompt_encoder, normalise


@dataclass(frozen=True)
class NetworkConfig:
    """What a network is made of.

    Attributes:
        backbone: Key of ``network.backbones.backbones()``.
    """

    backbone: str = "vit_tiny"


class DecoderState(NamedTuple):
    """What decoding prompts needs of B canvases of H x W pixels, computed once an image.

    Attributes:
        embedding: (B, C, H/16, W/16).
        skip2, skip4, skip8: Detail at strides 2, 4 and 8, as it is added to the mask decoder's; at
            stride 2 in pairs of columns (``network.columns``).
        points_m, normals, valid, around: See ``network.geometry.Geometry``.
    """

    embedding: Tensor
    skip2: Tensor
    skip4: Tensor
    skip8: Tensor
    points_m: Tensor
    normals: Tensor
    valid: Tensor
    around: Tensor


class EncodedImage(NamedTuple):
    """B encoded canvases of H x W pixels.

    Attributes:
        embedding: (B, C, H/16, W/16).
        pyramid: Fused features at strides 2, 4 and 8.
        heatmap: (B, H/4, W/4) logits, prompt centres.
        foreground: (B, H/4, W/4) logits.
        geometry: For the prompts' relations.
        early: (B, C, H/16, W/16), the encoder's features after the first block that depth is
            added before, which has global attention in SAM.
    """

    embedding: Tensor
    pyramid: Pyramid
    heatmap: Tensor
    foreground: Tensor
    geometry: Geometry
    early: Tensor


class DecodedMasks(NamedTuple):
    """Masks of N prompts: ``logits`` (N, H/2, W/2), ``predicted_iou`` (N,)."""

    logits: Tensor
    predicted_iou: Tensor


class _Extended(NamedTuple):
    extension: DecoderExtension
    encoded: EncodedImage
    image_index: Tensor


class RepSam(nn.Module):
    """SAM with depth fusion, learned prompts and high-resolution masks.

    Attributes:
        config: What it is made of.
        checkpointing: Training computes the encoder's blocks twice instead of keeping their
            activations.
        decoder_extension: What a method adds to the mask decoder.
    """

    checkpointing = False
    decoder_extension: DecoderExtension | None

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.spec = backbone_spec(config.backbone)
        dim = self.spec.prompt_dim
        self.image_encoder = self.spec.build_encoder()
        self.prompt_encoder = build_prompt_encoder(self.spec)
        self.mask_decoder = build_mask_decoder(self.spec)
        self.fusion = DepthFusion(FEATURE_COUNT, self.spec.additions.values(), self.spec.depth_dim)
        self.color_stem = Stem(3)
        self.mix2 = conv_block(STEM_WIDTHS[0], STEM_WIDTHS[0], 1)
        self.mix4 = conv_block(STEM_WIDTHS[1], STEM_WIDTHS[1], 1)
        self.mix8 = conv_block(STEM_WIDTHS[2], STEM_WIDTHS[2], 1)
        self.prompt_head = PromptHead(dim)
        self.geometric_prompt = GeometricPrompt(dim)
        self.mask_detail = MaskDetail(dim)
        self.register_module("decoder_extension", None)

    def encode(self, color: Tensor, depth_m: Tensor, intrinsics: Tensor) -> EncodedImage:
        """Encodes canvases.

        Args:
            color: (B, 3, H, W) RGB in 0..255.
            depth_m: (B, H, W) metres, 0 = invalid.
            intrinsics: (B, 4) fx fy cx cy, pixels of the canvas.
        """
        pixels = normalise(color)
        geometry = dense_geometry(depth_m, intrinsics)
        depth, depth_tokens, validity = self.fusion(geometry.features, geometry.valid)
        tokens = self.image_encoder.embed(pixels)
        first, *_ = self.spec.additions
        kept = {first, *self.spec.neck_blocks}
        additions = dict(zip(self.spec.additions, self.fusion.additions, strict=True))
        streams: dict[int, Tensor] = {}
        for index, block in enumerate(self.image_encoder.blocks):
            if index in additions:
                tokens = additions[index](tokens, depth_tokens, validity)
            # Blocks before anything that is trained keep no activations anyway.
            if self.checkpointing and tokens.requires_grad:
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
            if index in kept:
                streams[index] = tokens.permute(0, 3, 1, 2)
        embedding = self.image_encoder.neck(*(streams[index] for index in self.spec.neck_blocks))
        detail = self.color_stem(pixels)
        pyramid = Pyramid(
            self.mix2(detail.stride2 + depth.stride2),
            self.mix4(detail.stride4 + depth.stride4),
            self.mix8(detail.stride8 + depth.stride8),
        )
        heatmap, foreground = self.prompt_head(embedding, pyramid)
        return EncodedImage(embedding, pyramid, heatmap, foreground, geometry, streams[first])

    def decoder_state(self, encoded: EncodedImage) -> DecoderState:
        """What :meth:`decode_state` needs of canvases; the rest can be forgotten."""
        skips = self.mask_detail.skips(encoded.pyramid)
        _, points_m, normals, valid, around = encoded.geometry
        return DecoderState(encoded.embedding, *skips, points_m, normals, valid, around)

    def decode(self, encoded: EncodedImage, image_index: Tensor, points_px: Tensor) -> DecodedMasks:
        """Masks of all prompts in one batch.

        Args:
            encoded: B canvases.
            image_index: (N,) int64, canvas of each prompt.
            points_px: (N, 2) x, y on the canvas.
        """
        extended = None
        if self.decoder_extension is not None:
            extended = _Extended(self.decoder_extension, encoded, image_index)
        return self._decode(self.decoder_state(encoded), image_index, points_px, extended)

    def decode_state(self, state: DecoderState, points_px: Tensor) -> DecodedMasks:
        """As :meth:`decode`, all prompts on one canvas, without a ``decoder_extension``."""
        return self._decode(state, None, points_px, None)

    def _decode(
        self,
        state: DecoderState,
        image_index: Tensor | None,
        points_px: Tensor,
        extended: _Extended | None,
    ) -> DecodedMasks:
        relations2 = prompt_relations(state, image_index, points_px)
        relations = halved(relations2)
        sparse = self._point_tokens(points_px)
        dense = self.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        dense = dense + self.geometric_prompt(relations)
        decoder = self.mask_decoder
        fixed = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        # A shape may vary in an exported graph, len() may not.
        tokens = torch.cat([fixed.expand(sparse.shape[0], -1, -1), sparse], 1)
        # Flat, since OpenVINO computes a convolution and a sum at once, and with a sum that is
        # broadcast over prompts wrongly.
        flat = of_prompts(state.embedding, image_index).flatten(2) + dense.flatten(2)
        source = flat.reshape(dense.shape)
        position = self.prompt_encoder.get_dense_pe()
        count, channels, height, width = source.shape
        if extended is None:
            out, source = decoder.transformer(source, position, tokens)
        else:
            extension, encoded, index = extended
            further = extension.tokens(encoded, index, points_px, position)
            out, source, further = run_transformer(
                decoder.transformer, source, position, tokens, further, extension.shares()
            )
        source = source.transpose(1, 2).reshape(count, channels, height, width)
        upscaled = self._upscale(source, state, relations, image_index)
        token = out[:, 1]
        weights = decoder.output_hypernetworks_mlps[0](token)
        mask = weighted_sum(weights, upscaled)
        if extended is not None:
            mask = extension.correct(mask, further, upscaled, encoded, index)
        skip2 = of_prompts(state.skip2, image_index)
        logits = self.mask_detail.fine_mask(mask, token, upscaled, skip2, relations2)
        return DecodedMasks(logits, decoder.iou_prediction_head(out[:, 0])[:, 0])

    def _point_tokens(self, points_px: Tensor) -> Tensor:
        """SAM's embedding of one positive point a prompt: (N, 2, C) with its padding token."""
        encoder = self.prompt_encoder
        height, width = encoder.input_image_size
        share = (points_px.float() + 0.5) / points_px.new_tensor([width, height])
        position = encoder.pe_layer._pe_encoding(share[:, None])
        point = position + encoder.point_embeddings[1].weight
        padding = encoder.not_a_point_embed.weight.expand(points_px.shape[0], 1, -1)
        return torch.cat([point, padding], 1)

    def _upscale(
        self, source: Tensor, state: DecoderState, relations: Tensor, image_index: Tensor | None
    ) -> Tensor:
        """SAM's output upscaling with the detail added at strides 8 and 4."""
        first, norm, activation, second, last = self.mask_decoder.output_upscaling
        x = activation(norm(first(source) + of_prompts(state.skip8, image_index)))
        skip4 = of_prompts(state.skip4, image_index)
        upscaled: Tensor = last(second(x) + skip4 + self.mask_detail.relations4(relations))
        return upscaled


def build_network(config: NetworkConfig) -> RepSam:
    """A network with fresh weights, in evaluation mode."""
    return RepSam(config).eval()
