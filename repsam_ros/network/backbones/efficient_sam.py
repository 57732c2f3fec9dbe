"""EfficientSAM's image encoders: plain vision transformers, which SAM's own classes can hold.

Xiong et al., "EfficientSAM: Leveraged Masked Image Pretraining for Efficient Segment Anything",
CVPR 2024. Its mask decoder differs from SAM's (GELU, batched prompts of six points) and starts
fresh here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from repsam_ros.network.backbones import renamed
from repsam_ros.network.sam import PATCH_PX, BackboneSpec

_PARTS = {r"image_encoder\.": "image_encoder."}
_LAYERS = {r"\.mlp\.fc": ".mlp.lin"}


@dataclass(frozen=True)
class EfficientSamSpec(BackboneSpec):
    """See :class:`BackboneSpec`."""

    official_groups: ClassVar[tuple[str, ...]] = ("image_encoder.",)
    checkpoint: ClassVar[str] = "https://github.com/yformer/EfficientSAM/tree/main/weights"

    def from_official(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Positions of a 14 x 14 pretraining grid, with a class token, become the canvas's."""
        found = renamed(state, _PARTS, _LAYERS)
        table = found["image_encoder.pos_embed"][:, 1:]
        side = int(table.shape[1] ** 0.5)
        grid = table.reshape(1, side, side, -1).permute(0, 3, 1, 2)
        tokens = max(self.canvas_px) // PATCH_PX
        positions = F.interpolate(grid, (tokens, tokens), mode="bicubic", align_corners=False)
        return {**found, "image_encoder.pos_embed": positions.permute(0, 2, 3, 1)}


def _spec(embed_dim: int, heads: int) -> EfficientSamSpec:
    canvas_px = (1024, 1024)
    return EfficientSamSpec(
        canvas_px, embed_dim, 12, heads, (2, 5, 8, 11), 0, False, 256, 2048, 3, 64
    )


BACKBONES = {"efficient_sam_ti": _spec(192, 3), "efficient_sam_s": _spec(384, 6)}
