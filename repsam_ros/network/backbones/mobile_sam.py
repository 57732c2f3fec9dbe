"""MobileSAM's image encoder: timm's TinyViT with the last stage at stride 16 and SAM's neck.

Zhang et al., "Faster Segment Anything: Towards Lightweight SAM for Mobile Applications", 2023;
Wu et al., "TinyViT", ECCV 2022. Prompt encoder and mask decoder are SAM's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from segment_anything.modeling.common import LayerNorm2d, MLPBlock
from torch import Tensor, nn

from repsam_ros.errors import BackendError
from repsam_ros.network.backbones import HierarchicalSpec, renamed
from repsam_ros.network.sam import SAM_GROUPS

_PARTS = {
    r"(prompt_encoder|mask_decoder|image_encoder\.neck)\.": r"\1.",
    r"image_encoder\.patch_embed\.seq\.0\.": "image_encoder.patch_embed.conv1.",
    r"image_encoder\.patch_embed\.seq\.2\.": "image_encoder.patch_embed.conv2.",
    r"image_encoder\.layers\.0\.blocks\.": "image_encoder.convolutions.",
}
_LAYERS = {r"\.c\.": ".conv.", r"\.mlp\.fc": ".mlp.lin"}


@dataclass(frozen=True)
class TinyVitSpec(HierarchicalSpec):
    """The first stage has convolutions only, and so no blocks of the encoder."""

    official_groups: ClassVar[tuple[str, ...]] = SAM_GROUPS
    package: ClassVar[str] = "timm"
    checkpoint: ClassVar[str] = (
        "https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt"
    )

    @property
    def depth(self) -> int:
        return sum(self.stage_depths[1:])

    @property
    def first_blocks(self) -> tuple[int, ...]:
        """The blocks that begin the stages after the first."""
        return tuple(sum(self.stage_depths[1:stage]) for stage in range(1, 4))

    @property
    def additions(self) -> Mapping[int, int]:
        """Every second block of the third stage, and within the last one."""
        _, third, last = self.first_blocks
        places = dict.fromkeys(range(third + 1, last, 2), self.widths[2])
        return {**places, last + 1: self.widths[3]}

    @property
    def neck_blocks(self) -> tuple[int, ...]:
        return (self.depth - 1,)

    def build_encoder(self) -> TinyVitEncoder:
        """See :meth:`Backbone.build_encoder`."""
        return TinyVitEncoder(self)

    def from_official(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Leaves out the head of the classification that pretrained the encoder.

        A stage's merging of patches belongs to the stage before there, to its first block here.
        """
        parts, stages = dict(_PARTS), r"image_encoder\.layers\."
        for stage, first in enumerate(self.first_blocks, 1):
            merging = f"image_encoder.blocks.{first}.downsample."
            parts[rf"{stages}{stage - 1}\.downsample\."] = merging
            for index in range(self.stage_depths[stage]):
                block = f"image_encoder.blocks.{first + index}."
                parts[rf"{stages}{stage}\.blocks\.{index}\."] = block
        return renamed(state, parts, _LAYERS)


class NormedMlp(MLPBlock):  # type: ignore[misc]
    """TinyViT's MLP with the names of SAM's layers."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__(dim, hidden)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., C)."""
        mixed: Tensor = super().forward(self.norm(x))
        return mixed


class TinyVitEncoder(nn.Module):
    """See :class:`repsam_ros.network.backbones.ImageEncoder`."""

    def __init__(self, spec: TinyVitSpec) -> None:
        super().__init__()
        try:
            from timm.models.tiny_vit import TinyVit
        except ImportError as error:
            raise BackendError("MobileSAM needs the package timm: pip install timm") from error
        stock: Any = TinyVit(
            num_classes=0,
            embed_dims=spec.widths,
            depths=spec.stage_depths,
            num_heads=spec.heads,
            window_sizes=spec.windows,
            drop_path_rate=0.0,
        )
        first, *others = stock.stages
        # The embedding is that of stride 16, as SAM's.
        others[-1].downsample.conv2.conv.stride = (1, 1)
        self.patch_embed = stock.patch_embed
        self.convolutions: nn.Sequential = first.blocks
        blocks = [block for stage in others for block in stage.blocks]
        for block in blocks:
            block.mlp = NormedMlp(block.dim, int(block.dim * block.mlp_ratio))
        for stage in others:
            stage.blocks[0].downsample = stage.downsample
            stage.blocks[0].register_forward_pre_hook(_merge_patches)
        self.blocks = nn.ModuleList(blocks)
        self.neck = nn.Sequential(
            nn.Conv2d(spec.widths[-1], spec.prompt_dim, 1, bias=False),
            LayerNorm2d(spec.prompt_dim),
            nn.Conv2d(spec.prompt_dim, spec.prompt_dim, 3, padding=1, bias=False),
            LayerNorm2d(spec.prompt_dim),
        )
        self.pos_embed: nn.Parameter | None = None

    def embed(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) normalised pixels to (B, H / 4, W / 4, C) tokens."""
        features: Tensor = self.convolutions(self.patch_embed(pixels))
        return features.permute(0, 2, 3, 1)

    def train(self, mode: bool = True) -> TinyVitEncoder:
        """As usual, but for the attention.

        In evaluation timm's attention keeps its biases as they were at the first call, whatever
        becomes of the weights later; nothing else in it depends on the mode.
        """
        super().train(mode)
        for block in self.blocks:
            block.get_submodule("attn").training = True
        return self


def _merge_patches(block: Any, inputs: tuple[Tensor]) -> Tensor:
    merged: Tensor = block.downsample(inputs[0].permute(0, 3, 1, 2))
    return merged.permute(0, 2, 3, 1)


BACKBONES = {
    "mobile_sam": TinyVitSpec((64, 128, 160, 320), (2, 2, 6, 2), (2, 4, 5, 10), (7, 7, 14, 7)),
}
