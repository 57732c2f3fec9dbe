"""Rows of features from the residual stream after each block of an image encoder.

The stream is taken where a block hands it on, never inside windowed attention, whose padding adds
tokens that no picture has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from repsam_ros.errors import ConfigError


class Rows(NamedTuple):
    """Features of B pictures after each of L blocks, float64.

    C is the width of the widest block. Zeros follow the features of narrower ones, which change
    no inner product, and so neither CKA nor the alignment of covariances.

    Attributes:
        image_mean: (L, B, C) mean over the tokens of a picture.
        tokens: (L, B, k, C) some of its tokens.
    """

    image_mean: Tensor
    tokens: Tensor


def random_tokens(seed: tuple[int, ...], inner: tuple[int, int], count: int) -> Tensor:
    """(count, 2) row and column of different tokens within the ``inner`` rows and columns.

    Raises:
        ConfigError: There are fewer tokens.
    """
    rows, columns = inner
    if count > rows * columns:
        raise ConfigError(f"tokens: {count} asked for, a picture has {rows * columns}")
    chosen = np.random.default_rng(seed).choice(rows * columns, count, replace=False)
    return torch.from_numpy(np.stack(np.divmod(chosen, columns), 1))


class BlockRecorder:
    """Records blocks within a ``with`` statement, whose end takes every hook away.

    Args:
        blocks: Each returns (B, H, W, C).
        grid: Rows and columns of tokens that every block is recorded at: the means of finer
            tokens, coarser ones repeated.
    """

    def __init__(self, blocks: Iterable[nn.Module], grid: tuple[int, int]) -> None:
        self._blocks = list(blocks)
        self._grid = grid
        self._hooks = ExitStack()
        self._means: list[Tensor] = []
        self._tokens: list[Tensor] = []
        self._inner: list[tuple[int, int]] | None = None
        self._chosen: list[Tensor] = []

    def __enter__(self) -> BlockRecorder:
        with ExitStack() as hooks:
            for block in self._blocks:
                hooks.callback(block.register_forward_hook(self._keep).remove)
            self._hooks = hooks.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._hooks.close()

    def record(
        self,
        forward: Callable[[], object],
        inner: list[tuple[int, int]],
        chosen: list[Tensor],
    ) -> Rows:
        """What the blocks give while ``forward`` runs once.

        Args:
            forward: Runs the encoder on B pictures.
            inner: Rows and columns of tokens of each picture that see no padding.
            chosen: (k, 2) row and column of the tokens to keep of each picture.
        """
        self._means, self._tokens = [], []
        self._inner, self._chosen = inner, chosen
        try:
            with torch.inference_mode():
                forward()
        finally:
            self._inner = None
        return Rows(_stack(self._means), _stack(self._tokens))

    def _keep(self, block: nn.Module, inputs: Any, stream: Tensor) -> None:
        if self._inner is None:
            return
        if stream.shape[1:3] != self._grid:
            resized = F.adaptive_avg_pool2d(stream.permute(0, 3, 1, 2), self._grid)
            stream = resized.permute(0, 2, 3, 1)
        pictures = list(zip(stream, self._inner, self._chosen, strict=True))
        means = [one[:h, :w].mean((0, 1), dtype=torch.float64) for one, (h, w), _ in pictures]
        tokens = [one[at[:, 0], at[:, 1]].double() for one, _, at in pictures]
        self._means.append(torch.stack(means))
        self._tokens.append(torch.stack(tokens))


def _stack(blocks: list[Tensor]) -> Tensor:
    width = max(block.shape[-1] for block in blocks)
    return torch.stack([F.pad(block, (0, width - block.shape[-1])) for block in blocks])
