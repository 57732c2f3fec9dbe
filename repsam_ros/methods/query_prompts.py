"""Learned query prompts: a generator turns what lies around a prompt point into prompt tokens.

After the anchor variant of Chen et al., "RSPrompter: Learning to Prompt for Remote Sensing
Instance Segmentation Based on Visual Foundation Model", IEEE TGRS, 2024.

Kept: a detector says where, a small convolution and an MLP map image features and their positions
to a few tokens, which pass a sine and enter SAM's decoder as sparse prompts.
Different here:

- The heatmap head is the detector. It gives points, so features come from a window of one size
  around each and not from the box of a proposal, and there are no classes.
- Features are the final embedding, into which depth has been fused, and no aggregate of layers.
- SAM's point token and the geometric prompt stay. Shares that start at zero let the decoder attend
  to the generated tokens (``network.decoder_extension``): a token in the common softmax would take
  attention from the others at once. The paper's prompts replace SAM's from the start.
- A layer norm keeps tokens at the size of SAM's own; without it they grew without limit and the
  loss fell in jumps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from repsam_ros.errors import ConfigError
from repsam_ros.methods import Method, Training
from repsam_ros.network.build import EncodedImage, RepSam
from repsam_ros.network.decoder_extension import DecoderExtension

# Samples along each side of the window; 14 in the paper, of proposals.
_SAMPLES = 7
# An optimiser moves a gate by about the learning rate a step: without a gain, gates would open too
# late for the generator to learn much in a short training.
_GATE_GAIN = 10


@dataclass(frozen=True)
class Config:
    """Size of the prompt generator.

    Attributes:
        tokens: Of each prompt.
        width: Of the generator's layers.
        window: Side of the square around the point, over the height of the canvas.
        parts: Keys of ``methods.PARTS`` that are trained along.
    """

    tokens: int = 5
    width: int = 64
    window: float = 0.25
    parts: tuple[str, ...] = ("fusion", "prompt_head")


class PromptGenerator(DecoderExtension):
    """Tokens from the surroundings of points, and the shares of attention that they get."""

    def __init__(self, dim: int, layers: int, canvas_px: tuple[int, int], config: Config) -> None:
        super().__init__()
        self._count, self._canvas_px = config.tokens, canvas_px
        self._window_px = config.window * canvas_px[0]
        width = config.width
        self.features = nn.Conv2d(dim, width, 1)
        self.surroundings = nn.Sequential(nn.Conv2d(width, width, 3, 2, 1), nn.ReLU(), nn.Flatten())
        self.generator = nn.Sequential(
            nn.Linear(width * ((_SAMPLES + 1) // 2) ** 2, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, config.tokens * dim * 2),
        )
        self.norm = nn.LayerNorm(dim)
        self.gates = nn.Parameter(torch.zeros(layers * 2))

    def tokens(
        self, encoded: EncodedImage, image_index: Tensor, points_px: Tensor, position: Tensor
    ) -> Tensor:
        """See :meth:`DecoderExtension.tokens`."""
        features = self.features(encoded.embedding + position).index_select(0, image_index)
        sampled = F.grid_sample(
            features.float(), self._window(points_px), mode="bilinear", align_corners=False
        )
        generated: Tensor = self.generator(self.surroundings(sampled))
        phase, plain = generated.reshape(len(points_px), self._count, -1).chunk(2, -1)
        tokens: Tensor = self.norm(torch.sin(phase) + plain)
        return tokens

    def _window(self, points_px: Tensor) -> Tensor:
        """Where features are sampled, (N, samples, samples, 2), as ``grid_sample`` counts."""
        height, width = self._canvas_px
        steps = torch.linspace(-0.5, 0.5, _SAMPLES, device=points_px.device) * self._window_px
        rows, columns = torch.meshgrid(steps, steps, indexing="ij")
        around = points_px[:, None, None] + 0.5 + torch.stack([columns, rows], -1)
        return around * around.new_tensor([2 / width, 2 / height]) - 1

    def shares(self) -> Tensor:
        """See :func:`run_transformer`; between -1 and 1."""
        return torch.tanh(_GATE_GAIN * self.gates).reshape(-1, 2)


class QueryPrompts(Method):
    """Own modules; prompts depend on the image and so cannot become weights."""

    config: Config
    mergeable = False

    def _add(self, network: RepSam, training: Training) -> list[nn.Parameter]:
        spec, layers = network.spec, len(network.mask_decoder.transformer.layers)
        generator = PromptGenerator(spec.prompt_dim, layers, spec.canvas_px, self.config)
        generator.to(next(network.parameters()).device)
        network.decoder_extension = generator
        return list(generator.parameters())


def build(config: Config) -> Method:
    if config.tokens < 1 or config.width < 1 or not 0 < config.window <= 1:
        raise ConfigError(
            "query_prompts: tokens and width must be 1 or more, window above 0 and at most 1"
        )
    return QueryPrompts("query_prompts", config, config.parts)
