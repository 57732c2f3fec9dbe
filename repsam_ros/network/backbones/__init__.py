"""Image encoders by name. A further family is one new file here.

Such a file has ``BACKBONES``, its specs by name, each a :class:`Backbone`; SAM's own are those of
``network.sam``. An optional package is imported only where an encoder is built.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from repsam_ros.errors import ConfigError
from repsam_ros.network import sam
from repsam_ros.plugins import load_plugin, plugin_names


class ImageEncoder(Protocol):
    """From pixels to an embedding, block by block.

    Attributes:
        blocks: Modules from (B, H, W, C) to (B, H, W, C) whose linear layers are called as those
            of SAM's blocks are (``network.adapters.MODULES``), so that adapters find them.
        pos_embed: The table of positions, if there is one.
        neck: From what the spec's ``neck_blocks`` return, each (B, C, H, W), to the embedding.
    """

    blocks: nn.ModuleList
    pos_embed: nn.Parameter | None
    neck: nn.Module

    def embed(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) normalised pixels to the (B, H, W, C) tokens of the first block."""


class Backbone(Protocol):
    """What the network needs to know of an image encoder.

    All share SAM's pixel statistics, its prompt encoder and mask decoder, and embeddings at
    stride 16.

    Attributes:
        canvas_px: (height, width) of the image that the encoder sees.
        embed_dim: Width of every block's tokens; a ``ConfigError`` where blocks differ.
        depth: Number of blocks.
        prompt_dim: Width of the image embedding, the prompts and the mask decoder.
        decoder_mlp: Hidden width of the mask decoder's transformer.
        multimask_outputs: Masks beside the first one that the decoder predicts.
        depth_dim: Width of the depth tokens.
        additions: Blocks before which depth is added, and the width of the tokens there, which
            are those of stride 16.
        neck_blocks: Blocks whose output the neck takes.
        official_groups: Beginnings of the names that the official checkpoint fills.
        package: Distribution that the encoder comes from.
        checkpoint: Where the official checkpoint is.
    """

    @property
    def canvas_px(self) -> tuple[int, int]: ...
    @property
    def embed_dim(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def prompt_dim(self) -> int: ...
    @property
    def decoder_mlp(self) -> int: ...
    @property
    def multimask_outputs(self) -> int: ...
    @property
    def depth_dim(self) -> int: ...
    @property
    def additions(self) -> Mapping[int, int]: ...
    @property
    def neck_blocks(self) -> tuple[int, ...]: ...
    @property
    def official_groups(self) -> tuple[str, ...]: ...
    @property
    def package(self) -> str: ...
    @property
    def checkpoint(self) -> str: ...

    def build_encoder(self) -> Any:
        """An :class:`ImageEncoder` with fresh weights, which is an ``nn.Module`` too.

        Raises:
            BackendError: The package is missing.
        """

    def from_official(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The official checkpoint's tensors under this project's names."""


@dataclass(frozen=True)
class HierarchicalSpec:
    """Stages of different widths and resolutions; beside them the sizes of the official SAMs.

    Attributes:
        widths, stage_depths, heads, windows: Of each stage; a window's side in tokens.
    """

    widths: tuple[int, ...]
    stage_depths: tuple[int, ...]
    heads: tuple[int, ...]
    windows: tuple[int, ...]
    canvas_px: tuple[int, int] = (1024, 1024)
    prompt_dim: int = 256
    decoder_mlp: int = 2048
    multimask_outputs: int = 3
    depth_dim: int = 64

    @property
    def embed_dim(self) -> int:
        raise ConfigError(
            f"this backbone's blocks have different widths ({', '.join(map(str, self.widths))}); "
            "what is asked for needs one width, as SAM's own backbones have"
        )

    @property
    def depth(self) -> int:
        return sum(self.stage_depths)


def backbones() -> dict[str, Backbone]:
    """All backbones by name."""
    found: dict[str, Backbone] = dict(sam.BACKBONES)
    for family in plugin_names(__name__):
        found |= load_plugin(__name__, "family of backbones", family).BACKBONES
    return found


def backbone_spec(name: str) -> Backbone:
    """The spec of a backbone.

    Raises:
        ConfigError: No backbone of that name; the message lists what exists.
    """
    known = backbones()
    if name not in known:
        raise ConfigError(f"unknown backbone {name!r}; there are {', '.join(known)}")
    return known[name]


def renamed(
    state: Mapping[str, Tensor], parts: Mapping[str, str], layers: Mapping[str, str]
) -> dict[str, Tensor]:
    """Tensors of a checkpoint under other names.

    Args:
        parts: What takes the place of a name's beginning, by regular expression. Names that begin
            otherwise belong to parts that this project does not have, and are left out.
        layers: What takes the place of the rest's pieces, by regular expression.
    """
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        match = next((m for part in parts if (m := re.match(part, name))), None)
        if match is None:
            continue
        new = match.expand(parts[match.re.pattern]) + name[match.end() :]
        for pattern, replacement in layers.items():
            new = re.sub(pattern, replacement, new)
        found[new] = value
    return found
