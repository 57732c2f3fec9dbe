"""Simulated frames that are made for an experiment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from repsam_ros.simulation.configuration import load_simulate_config
from repsam_ros.simulation.simulate import simulate


@dataclass(frozen=True)
class SimulatedFrames:
    """What they are drawn from, one of each scene.

    Attributes:
        seed: Of the scenes; other seeds, other scenes.
        preset: File of ``config/simulation``; without it all kinds of scenes, like the pool's.
    """

    scenes: int
    seed: int
    preset: str | None = None
    size: tuple[int, int] = (320, 240)


def simulate_frames(frames: SimulatedFrames, out: Path, processes: int) -> None:
    """Makes the frames in ``out``; those that are there are not made again."""
    given = {"scenes": frames.scenes, "seed": frames.seed, "views": 1, "size": frames.size}
    made = load_simulate_config(given, frames.preset, ["twins=[]"])
    simulate(made, out, processes=processes)
