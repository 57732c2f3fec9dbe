"""The folder of a simulated data set: one writer at a time, resumable, within its disk budget."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from repsam_ros import __version__
from repsam_ros.config import differences, read_yaml, to_plain
from repsam_ros.datasets._files import read_json
from repsam_ros.datasets.simulated import (
    CONFIG_FILE,
    FORMAT,
    META,
    SUMMARY_FILE,
    VERSION,
    frame_name,
)
from repsam_ros.errors import DatasetError
from repsam_ros.paths import atomic_path
from repsam_ros.simulation.configuration import SimulateConfig
from repsam_ros.simulation.scene_files import SceneFiles

GIGABYTE = 1e9
# What made a data set; another version of the package may make other bytes.
ORIGIN = {"format": FORMAT, "version": VERSION, "repsam_ros": __version__}
# Scenes differ in size; the first says little about the largest.
_DISK_MARGIN = 1.2
# What paths.atomic_path leaves behind when the process is killed.
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}(\.\w+)?")


class DatasetFolder:
    """A folder that is being filled with the scenes of ``config``."""

    def __init__(self, root: Path, config: SimulateConfig) -> None:
        self.root, self._config = root, config

    def missing_scenes(self) -> list[int]:
        """Scenes of which a frame has no description yet; descriptions are written last."""
        folder = self.root / META
        found = {path.stem for path in folder.glob("*.json")} if folder.is_dir() else set()
        views = range(self._config.views)
        return [
            scene
            for scene in range(self._config.scenes)
            if not all(frame_name(scene, view) in found for view in views)
        ]

    def write(self, files: SceneFiles) -> None:
        """Writes the files of one scene in their order, each whole or not at all.

        Raises:
            DatasetError: The disk is full or not writable.
        """
        try:
            for name, content in files.items():
                with atomic_path(self.root / name) as temporary:
                    temporary.write_bytes(content)
        except OSError as error:
            raise DatasetError(
                f"{self.root}: {error.strerror}; once that is mended, "
                "start the same command again and it goes on"
            ) from error

    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.root.rglob("*") if path.is_file())


@contextmanager
def opened_folder(root: Path, config: SimulateConfig) -> Iterator[DatasetFolder]:
    """The folder at ``root`` for this process alone, new or as an earlier run left it.

    Raises:
        DatasetError: It holds something else, or another process is writing into it.
    """
    root.mkdir(parents=True, exist_ok=True)
    handle = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DatasetError(f"{root}: another repsam simulate is writing here") from error
        _check_content(root, config)
        for path in [*root.glob(".*"), *root.glob("*/.*"), *root.glob("*/*/*/.*")]:
            if path.is_file() and _TEMPORARY.fullmatch(path.name):
                path.unlink()
        folder = DatasetFolder(root, config)
        if folder.missing_scenes():
            started = {**ORIGIN, "finished": False}
            folder.write(
                {
                    SUMMARY_FILE: json.dumps(started).encode(),
                    CONFIG_FILE: yaml.safe_dump(to_plain(config), sort_keys=False).encode(),
                }
            )
        yield folder
    finally:
        os.close(handle)


class DiskBudget:
    """Says early that a data set will not fit, from the size of the scenes so far."""

    def __init__(self, folder: DatasetFolder, config: SimulateConfig, max_bytes: float) -> None:
        self._root, self._scenes, self._max_bytes = folder.root, config.scenes, max_bytes
        self._done = config.scenes - len(folder.missing_scenes())
        self._bytes = folder.size() if self._done else 0
        self._is_first = True

    def add(self, files: SceneFiles) -> None:
        """Counts a scene that is about to be written.

        Raises:
            DatasetError: The data set will outgrow ``max_bytes`` or the free space.
        """
        size = sum(map(len, files.values()))
        self._done += 1
        self._bytes += size
        mean = self._bytes / self._done
        if self._is_first and mean * self._scenes > self._max_bytes:
            raise DatasetError(
                f"{self._scenes} scenes will take about {_gigabytes(mean * self._scenes)}, "
                f"more than --max-gigabytes {self._max_bytes / GIGABYTE:g}"
            )
        if self._bytes > self._max_bytes:
            raise DatasetError(
                f"{self._root} would outgrow --max-gigabytes {self._max_bytes / GIGABYTE:g} "
                f"with scene {self._done} of {self._scenes}"
            )
        needed = mean * (self._scenes - self._done) * _DISK_MARGIN + size
        free = shutil.disk_usage(self._root).free
        if needed > free:
            raise DatasetError(
                f"{self._root}: {self._scenes - self._done + 1} scenes to go need about "
                f"{_gigabytes(needed)}, {_gigabytes(free)} are free"
            )
        self._is_first = False


def _gigabytes(size: float) -> str:
    return f"{size / GIGABYTE:.3g} GB"


def _check_content(root: Path, config: SimulateConfig) -> None:
    """Refuses a folder that holds anything but a part of this data set."""
    path = root / CONFIG_FILE
    if not path.is_file() or not (root / SUMMARY_FILE).is_file():
        ours = (SUMMARY_FILE,)  # all that a run killed at once leaves
        if any(e.name not in ours and not _TEMPORARY.fullmatch(e.name) for e in root.iterdir()):
            raise DatasetError(f"{root}: not empty and not a folder of repsam simulate")
        return
    stored, wanted = read_yaml(path), to_plain(config)
    origin = read_json(root / SUMMARY_FILE)
    for key, value in ORIGIN.items():
        if origin.get(key) != value:
            raise DatasetError(
                f"{root}: made by {key} {origin.get(key)}, this is {value}; choose another folder"
            )
    if isinstance(stored.get("scenes"), int) and stored["scenes"] < config.scenes:
        stored["scenes"] = config.scenes
    if changes := list(differences(stored, wanted)):
        raise DatasetError(
            f"{root}: made with another config ({'; '.join(changes[:3])}); choose another folder"
        )
