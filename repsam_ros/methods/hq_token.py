"""HQ-SAM: a learned token reads SAM's frozen decoder and corrects the mask at high quality.

Ke et al., "Segment Anything in High Quality", NeurIPS 2023: the token has its own MLP, whose
output weighs a fusion of early encoder features, the final embedding and SAM's mask features.
Different here:

- In the paper SAM's tokens and the image attend to the new token as well. Here it only reads
  (``network.decoder_extension``), so that SAM's own mask and its predicted quality stay the base's.
- The last layer of the MLP starts at zero and the loss is that of the corrected mask, so the
  token learns SAM's error from the first step. The paper trains the new mask by itself and adds
  it to SAM's afterwards.
- SAM's mask features have this network's high-resolution detail in them (``MaskDetail``), whose
  finest level is added to the corrected mask.

The authors' package (``segment-anything-hq``) is not used: it holds a second copy of SAM, with a
decoder that has no place for depth, geometric prompts and detail.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from segment_anything.modeling.common import LayerNorm2d
from segment_anything.modeling.mask_decoder import MLP
from torch import Tensor, nn

from repsam_ros.methods import Method, Training
from repsam_ros.network.build import EncodedImage, RepSam
from repsam_ros.network.decoder_extension import DecoderExtension


@dataclass(frozen=True)
class Config:
    """Sizes follow the network's, as in the paper.

    Attributes:
        parts: Keys of ``methods.PARTS`` that are trained along.
    """

    parts: tuple[str, ...] = ("fusion", "prompt_head")


class HighQualityToken(DecoderExtension):
    """The token, its MLP and the fusion of features that it weighs."""

    def __init__(self, dim: int, early_dim: int) -> None:
        super().__init__()
        low, high = dim // 4, dim // 8
        self.token = nn.Parameter(torch.randn(1, dim))
        self.hyper = MLP(dim, dim, high, 3)
        nn.init.zeros_(self.hyper.layers[-1].weight)
        nn.init.zeros_(self.hyper.layers[-1].bias)
        self.early = _upscaling(early_dim, dim, high)
        self.embedding = _upscaling(dim, low, high)
        self.mask_features = nn.Sequential(
            nn.Conv2d(high, low, 3, 1, 1),
            LayerNorm2d(low),
            nn.GELU(),
            nn.Conv2d(low, high, 3, 1, 1),
        )

    def tokens(
        self, encoded: EncodedImage, image_index: Tensor, points_px: Tensor, position: Tensor
    ) -> Tensor:
        """See :meth:`DecoderExtension.tokens`."""
        return self.token.expand(len(points_px), -1, -1)

    def correct(
        self,
        mask: Tensor,
        out: Tensor,
        upscaled: Tensor,
        encoded: EncodedImage,
        image_index: Tensor,
    ) -> Tensor:
        """See :meth:`DecoderExtension.correct`."""
        of_image = self.early(encoded.early) + self.embedding(encoded.embedding)
        features = self.mask_features(upscaled) + of_image.index_select(0, image_index)
        return mask + torch.einsum("nc,nchw->nhw", self.hyper(out[:, 0]), features)


def _upscaling(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """From stride 16 to stride 4."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, width, 2, 2),
        LayerNorm2d(width),
        nn.GELU(),
        nn.ConvTranspose2d(width, outputs, 2, 2),
    )


class HqToken(Method):
    """Own modules; the correction depends on the image and so cannot become weights."""

    config: Config
    mergeable = False

    def _add(self, network: RepSam, training: Training) -> list[nn.Parameter]:
        spec = network.spec
        early_dim = next(iter(spec.additions.values()))
        token = HighQualityToken(spec.prompt_dim, early_dim)
        token.to(next(network.parameters()).device)
        network.decoder_extension = token
        return list(token.parameters())


def build(config: Config) -> Method:
    return HqToken("hq_token", config, config.parts)
