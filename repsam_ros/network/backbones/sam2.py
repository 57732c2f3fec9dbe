"""SAM 2's image encoders: the Hiera of ``transformers`` with the top of SAM 2's feature pyramid.

Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024; Ryali et al., "Hiera", ICML
2023; Bolya et al., "Window Attention is Bugged", ICLR 2024 (positions). Of SAM 2's mask decoder,
the score for absent objects and the skips from strides 4 and 8 are left out: this project has its
own skips, which begin at zero. Memory, and with it video, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from segment_anything.modeling.common import MLPBlock
from torch import Tensor, nn
from torch.nn import functional as F

from repsam_ros.errors import BackendError
from repsam_ros.network.backbones import HierarchicalSpec, renamed
from repsam_ros.network.sam import SAM_GROUPS

_STRIDE16_BIAS = "image_encoder.neck.stride16.bias"
_PARTS = {
    r"image_encoder\.trunk\.": "image_encoder.",
    r"image_encoder\.neck\.convs\.0\.conv\.": "image_encoder.neck.stride32.",
    r"image_encoder\.neck\.convs\.1\.conv\.": "image_encoder.neck.stride16.",
    r"sam_prompt_encoder\.": "prompt_encoder.",
    r"sam_mask_decoder\.(iou_|mask_tokens|transformer|output_)": r"mask_decoder.\1",
}
_LAYERS = {
    r"\.patch_embed\.proj\.": ".patch_embed.projection.",
    r"(\.blocks\.\d+)\.norm([12])\.": r"\1.layer_norm\2.",
    r"\.mlp\.layers\.0\.": ".mlp.lin1.",
    r"\.mlp\.layers\.1\.": ".mlp.lin2.",
}


@dataclass(frozen=True)
class HieraSpec(HierarchicalSpec):
    """Strides 4, 8, 16 and 32.

    Attributes:
        global_blocks: Blocks with global attention, all in the third stage.
        background: Side of the table of positions, which is stretched over the image.
        size: In the checkpoint's file name.
    """

    global_blocks: tuple[int, ...] = ()
    background: int = 7
    size: str = ""

    official_groups: ClassVar[tuple[str, ...]] = SAM_GROUPS
    package: ClassVar[str] = "transformers"

    @property
    def checkpoint(self) -> str:
        """SAM 2.1's; those of SAM 2.0 have the same tensors."""
        folder = "https://dl.fbaipublicfiles.com/segment_anything_2/092824"
        return f"{folder}/sam2.1_hiera_{self.size}.pt"

    @property
    def additions(self) -> Mapping[int, int]:
        return dict.fromkeys(self.global_blocks, self.widths[2])

    @property
    def neck_blocks(self) -> tuple[int, ...]:
        """The ends of the last two stages."""
        return sum(self.stage_depths[:3]) - 1, self.depth - 1

    def build_encoder(self) -> HieraEncoder:
        """See :meth:`Backbone.build_encoder`."""
        return HieraEncoder(self)

    def from_official(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """For pictures SAM 2 adds a constant, "no memory", to the embedding: part of a bias."""
        found = renamed(state, _PARTS, _LAYERS)
        found[_STRIDE16_BIAS] = found[_STRIDE16_BIAS] + state["no_mem_embed"].flatten()
        return found


class PyramidTop(nn.Module):
    """Stride 16 plus the enlarged stride 32, both projected."""

    def __init__(self, widths: tuple[int, int], dim: int) -> None:
        super().__init__()
        self.stride16 = nn.Conv2d(widths[0], dim, 1)
        self.stride32 = nn.Conv2d(widths[1], dim, 1)

    def forward(self, stride16: Tensor, stride32: Tensor) -> Tensor:
        """(B, C, H, W) and (B, 2 C, H / 2, W / 2) to (B, dim, H, W)."""
        above = F.interpolate(self.stride32(stride32), scale_factor=2.0, mode="nearest")
        embedding: Tensor = self.stride16(stride16) + above
        return embedding


class HieraEncoder(nn.Module):
    """See :class:`repsam_ros.network.backbones.ImageEncoder`."""

    def __init__(self, spec: HieraSpec) -> None:
        super().__init__()
        try:
            from transformers.models.sam2.configuration_sam2 import Sam2HieraDetConfig
            from transformers.models.sam2.modeling_sam2 import Sam2HieraDetModel
        except ImportError as error:
            raise BackendError(
                "SAM 2 needs the package transformers, 4.56 or newer: pip install transformers"
            ) from error
        config = Sam2HieraDetConfig(
            hidden_size=spec.widths[0],
            num_attention_heads=spec.heads[0],
            image_size=list(spec.canvas_px),
            window_positional_embedding_background_size=[spec.background] * 2,
            blocks_per_stage=list(spec.stage_depths),
            embed_dim_per_stage=list(spec.widths),
            num_attention_heads_per_stage=list(spec.heads),
            window_size_per_stage=list(spec.windows),
            global_attention_blocks=list(spec.global_blocks),
        )
        stock: Any = Sam2HieraDetModel(config)
        self.patch_embed = stock.patch_embed
        self.pos_embed: nn.Parameter = stock.pos_embed
        self.pos_embed_window: nn.Parameter = stock.pos_embed_window
        self.blocks: nn.ModuleList = stock.blocks
        for block in stock.blocks:
            # The same layers under the names of SAM's.
            block.mlp = MLPBlock(block.dim_out, int(block.dim_out * config.mlp_ratio))
        self.neck = PyramidTop((spec.widths[2], spec.widths[3]), spec.prompt_dim)

    def embed(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) normalised pixels to (B, H / 4, W / 4, C) tokens with positions."""
        tokens: Tensor = self.patch_embed(pixels)
        height, width = tokens.shape[1:3]
        side = self.pos_embed_window.shape[-1]
        stretched = F.interpolate(self.pos_embed, (height, width), mode="bicubic")
        tiled = self.pos_embed_window.tile(1, 1, height // side, width // side)
        return tokens + (stretched + tiled).permute(0, 2, 3, 1)


def _spec(
    size: str,
    stage_depths: tuple[int, ...],
    width: int,
    heads: int,
    global_blocks: tuple[int, ...],
    windows: tuple[int, ...] = (8, 4, 14, 7),
    background: int = 7,
) -> HieraSpec:
    """Each stage doubles width and heads."""
    return HieraSpec(
        tuple(width << stage for stage in range(4)),
        stage_depths,
        tuple(heads << stage for stage in range(4)),
        windows,
        global_blocks=global_blocks,
        background=background,
        size=size,
    )


BACKBONES = {
    "sam2_t": _spec("tiny", (1, 2, 7, 2), 96, 1, (5, 7, 9)),
    "sam2_s": _spec("small", (1, 2, 11, 2), 96, 1, (7, 10, 13)),
    "sam2_b": _spec("base_plus", (2, 3, 16, 3), 112, 2, (12, 16, 20), background=14),
    "sam2_l": _spec("large", (2, 6, 36, 4), 144, 2, (23, 33, 43), (8, 4, 16, 8)),
}
