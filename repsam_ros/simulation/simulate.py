"""A simulated data set, from its config to a folder; docs/simulated_layout.md has the layout."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from repsam_ros.datasets.simulated import frame_name, read_sample
from repsam_ros.images import encode_png
from repsam_ros.progress import track
from repsam_ros.simulation.cluster import map_on_cluster
from repsam_ros.simulation.configuration import SimulateConfig, open_renderer
from repsam_ros.simulation.contact_sheet import contact_sheet
from repsam_ros.simulation.dataset_card import count_frames, summary_files
from repsam_ros.simulation.dataset_folder import DatasetFolder, DiskBudget, opened_folder
from repsam_ros.simulation.scene_files import scene_files
from repsam_ros.simulation.workers import map_here

SHEET_FRAMES = 12


@dataclass(frozen=True)
class Run:
    """What one run did; nothing of it is written into the data set.

    Attributes:
        frames: Rendered in this run.
        seconds: It took.
    """

    frames: int
    seconds: float

    @property
    def frames_per_minute(self) -> float:
        return 60 * self.frames / self.seconds if self.frames else 0.0


def simulate(
    config: SimulateConfig,
    out: Path,
    *,
    processes: int = 1,
    cluster: str | None = None,
    max_bytes: float = math.inf,
) -> Run:
    """Makes the scenes that ``out`` lacks, then card, contact sheet and summary.

    The files depend on ``config`` alone: not on who makes them, where, or how often it was
    interrupted.

    Args:
        processes: On this machine, without a cluster.
        cluster: Address of a Dask scheduler, or ``local:N``.
        max_bytes: Refuse to make more.

    Raises:
        DatasetError: ``out`` holds something else, the disk is too small, or a scene fails.
        BackendError: A package is missing, or a worker died.
    """
    # What is missing is said before any work.
    open_renderer(config.renderer, config.render, config.tracing)
    make = partial(scene_files, config)
    with opened_folder(out, config) as folder:
        missing = folder.missing_scenes()
        budget = DiskBudget(folder, config, max_bytes)
        start_s = time.monotonic()
        results = (
            map_here(make, missing, processes)
            if cluster is None or not missing
            else map_on_cluster(make, missing, cluster)
        )
        with closing(results):
            for files in track(results, len(missing), "scenes"):
                budget.add(files)
                folder.write(files)
        seconds = time.monotonic() - start_s
        _summarise(folder, config)
    return Run(len(missing) * config.views, seconds)


def _summarise(folder: DatasetFolder, config: SimulateConfig) -> None:
    scenes = np.linspace(0, config.scenes - 1, min(SHEET_FRAMES, config.scenes)).round()
    names = [frame_name(int(scene), k % config.views) for k, scene in enumerate(scenes)]
    sheet = encode_png(contact_sheet([read_sample(folder.root, name) for name in names]))
    folder.write(summary_files(config, count_frames(folder), sheet))
