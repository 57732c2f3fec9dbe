"""Representation-guided adaptation: LoRA with ranks from CKA, depth fusion and learned prompts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from repsam_ros.errors import ConfigError
from repsam_ros.methods import Method, Training
from repsam_ros.methods._adapted import Adapted
from repsam_ros.methods._distributed_ranks import RankedSettings
from repsam_ros.network.build import RepSam
from repsam_ros.network.ranks import planned_for, read_allocation


@dataclass(frozen=True)
class Config(RankedSettings):
    """See ``RankedSettings``; ranks come from ``ranks_file`` or ``ranks``, ``rank`` is unused.

    Attributes:
        ranks_file: A ``ranks.json`` that ``repsam ranks`` has written for the same ``modules`` and
            ``parts``.
        cka_sha256: Of the report that the ranks follow; comes from ``ranks_file``.
    """

    ranks_file: str | None = None
    cka_sha256: str | None = None


class RepSamMethod(Adapted):
    """Takes the allocation as it is; every policy goes through here."""

    config: Config

    def _ranks(self, network: RepSam, training: Training) -> tuple[int, ...]:
        if self.config.ranks_file is not None:
            path = Path(self.config.ranks_file)
            allocation = read_allocation(path)
            for name, planned in planned_for(path).items():
                if planned != getattr(self.config, name):
                    raise ConfigError(
                        f"{path} was planned for {name} {list(planned)}, the method has "
                        f"{list(getattr(self.config, name))}"
                    )
            origin = allocation.cka_report_sha256
            self.config = replace(
                self.config, ranks=allocation.ranks, ranks_file=None, cka_sha256=origin
            )
        return self.config.ranks


def build(config: Config) -> Method:
    if bool(config.ranks) == (config.ranks_file is not None):
        raise ConfigError("repsam: give ranks_file (written by `repsam ranks`) or ranks")
    return RepSamMethod("repsam", config)
