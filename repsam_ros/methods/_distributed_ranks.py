"""What methods share that choose ranks by themselves or are told them."""

from __future__ import annotations

from dataclasses import dataclass

from repsam_ros.errors import ConfigError
from repsam_ros.methods import Training
from repsam_ros.methods._adapted import AdapterSettings


@dataclass(frozen=True)
class RankedSettings(AdapterSettings):
    """Adapters whose ranks differ.

    Attributes:
        ranks: As in ``network.adapters.AdapterConfig``; empty lets the method choose.
    """

    ranks: tuple[int, ...] = ()


def require_data(name: str, training: Training) -> None:
    """Raises a ``ConfigError`` where there is nothing to choose ranks from."""
    if not training.losses:
        raise ConfigError(f"{name} chooses its ranks from data: give it batches, or ranks")
