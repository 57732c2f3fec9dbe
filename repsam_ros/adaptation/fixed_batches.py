"""Batches that stay the same: for methods that look at data first, and for validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from repsam_ros.adaptation.distributed import Team
from repsam_ros.adaptation.objective import Objective
from repsam_ros.adaptation.picture_sources import DataSettings, open_source
from repsam_ros.adaptation.training_config import TrainConfig
from repsam_ros.network.build import RepSam
from repsam_ros.simulation.rendering import Pictures

Loss = Callable[[RepSam], Tensor]


class FixedLosses(Sequence[Loss]):
    """The training loss on each of ``count`` batches, the same ones in every process.

    They are read when the first one is asked for, and kept.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: DataSettings,
        count: int,
        size: tuple[int, int],
        folder: Path,
        team: Team,
    ) -> None:
        """As :func:`repsam_ros.adaptation.picture_sources.open_source`."""
        self._config, self._data, self._count = config, data, count
        self._size, self._folder, self._team = size, folder, team
        self._batches: list[Pictures] = []

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Loss:  # type: ignore[override]
        if not 0 <= index < self._count:
            raise IndexError(index)
        if not self._batches:
            self._batches = list(self._read())

        def loss(network: RepSam) -> Tensor:
            value: Tensor = Objective(network, self._config)(
                self._batches[index], self._draw(index)
            )[0]
            return value

        return loss

    def _draw(self, index: int) -> torch.Generator:
        return torch.Generator(self._team.device).manual_seed(self._config.seed * 1009 + index)

    def _read(self) -> Iterator[Pictures]:
        config, alone = self._config, Team(self._team.device, alone=True)
        if not self._team.leads:
            self._team.wait()  # a pool is rendered by one process
        steps = range(self._count)
        source = open_source(
            self._data, config.batch_size, self._size, self._folder, alone, steps, config.seed
        )
        if self._team.leads:
            self._team.wait()
        with closing(source):
            for index in range(self._count):
                yield source.batch(index, self._draw(index))
