"""A pool of rendered pictures on disk, from which training draws with fresh noise each time.

Rendering costs as much as training, so each picture is rendered once, without camera and sensor
effects, and exposed anew whenever it is used. A pool is a folder of shards; a shard is an
``.npy`` file of ``PIXEL`` records (n, H, W) and one of intrinsics. Shards are written whole, so a
killed rendering goes on where it stopped. Training on a GPU has another, larger form of pictures,
whose types the device computes with: :mod:`repsam_ros.adaptation.planes`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from repsam_ros.config import differences, read_yaml, to_plain, write_yaml
from repsam_ros.errors import DatasetError
from repsam_ros.paths import atomic_path
from repsam_ros.simulation.rendering import FastRenderer, Rendered, RenderSettings, color_bytes
from repsam_ros.simulation.scenes import (
    SceneSettings,
    load_scenes,
    save_scenes,
    settle_scenes,
)
from repsam_ros.simulation.sensor import SensedScene
from repsam_ros.simulation.views import ViewSettings, draw_view
from repsam_ros.simulation.workers import map_here, one_thread

logger = logging.getLogger(__name__)

SHARD = 64
CONFIG_FILE = "pool.yaml"
GLASS, ON_TABLE = 1, 2
DEPTH_STEP_M = 1e-4
PIXEL = np.dtype(
    [
        ("color", "u1", 3),
        ("depth", "<u2"),
        ("through", "<u2"),
        ("incidence", "u1"),
        ("dropout", "u1"),
        ("id", "u1"),
        ("flags", "u1"),
    ]
)


@dataclass(frozen=True)
class PoolSettings:
    """What is settled and rendered.

    Attributes:
        folder: Where scenes and pictures are kept; beside the run without it.
        scene_count: Number of settled scenes.
        scene_seed: Seed of the first scene; the others follow.
        pictures: Number of pictures; each shows a random scene.
        seed: Of the choice of scenes, of cameras, rooms and materials.
        processes: Processes that settle and render.
    """

    folder: str | None = None
    scene_count: int = 16000
    scene_seed: int = 1000
    pictures: int = 6000
    seed: int = 1
    processes: int = 2
    scenes: SceneSettings = field(default_factory=SceneSettings)
    views: ViewSettings = field(default_factory=ViewSettings)
    render: RenderSettings = field(default_factory=RenderSettings)


def pack(rendered: Rendered) -> NDArray[np.void]:
    """(H, W) ``PIXEL`` records of a batch of one."""
    sight = rendered.sight
    record = np.zeros(rendered.ids.shape[1:], PIXEL)
    record["color"] = color_bytes(rendered.color[0])
    for name, depth in (("depth", sight.depth_m), ("through", sight.through_m)):
        record[name] = (depth[0] / DEPTH_STEP_M).round().clamp(0, 65535).numpy()
    record["incidence"] = (sight.incidence_rad[0] * (255 / 1.6)).round().clamp(0, 255).numpy()
    record["dropout"] = (sight.dropout[0] * 255).round().numpy()
    record["id"] = rendered.ids[0].numpy()
    record["flags"] = (sight.glass[0] * GLASS + sight.on_table[0] * ON_TABLE).numpy()
    return record


def unpack(records: NDArray[np.void], intrinsics: NDArray[np.float32]) -> Rendered:
    """A batch from (B, H, W) records and (B, 4) intrinsics."""

    def plane(name: str) -> torch.Tensor:
        return torch.from_numpy(records[name].astype(np.float32))

    flags = torch.from_numpy(np.ascontiguousarray(records["flags"]))
    sight = SensedScene(
        depth_m=plane("depth") * DEPTH_STEP_M,
        through_m=plane("through") * DEPTH_STEP_M,
        incidence_rad=plane("incidence") * (1.6 / 255),
        glass=(flags & GLASS) > 0,
        dropout=plane("dropout") / 255,
        on_table=(flags & ON_TABLE) > 0,
    )
    color = plane("color").permute(0, 3, 1, 2) / 255
    ids = torch.from_numpy(records["id"].astype(np.int64))
    return Rendered(color, sight, ids, torch.from_numpy(intrinsics))


def _render_shard(
    folder: Path, scenes_path: Path, settings: PoolSettings, size: tuple[int, int], number: int
) -> None:
    mesh_folder = settings.scenes.mesh_folder
    scenes = load_scenes(scenes_path, None if mesh_folder is None else Path(mesh_folder))
    renderer = FastRenderer(settings.render)
    first = number * SHARD
    count = min(SHARD, settings.pictures - first)
    records = np.zeros((count, *size), PIXEL)
    intrinsics = np.zeros((count, 4), np.float32)
    for row in range(count):
        seed = (settings.seed, first + row)
        scene = scenes[int(np.random.default_rng([*seed, 1]).integers(len(scenes)))]
        with one_thread():
            rendered = renderer.render([draw_view(scene, seed, settings.views, size)])
        records[row], intrinsics[row] = pack(rendered), rendered.intrinsics[0].numpy()
    for name, array in (("intrinsics", intrinsics), ("pixels", records)):
        with atomic_path(folder / f"{name}-{number:05d}.npy") as temporary:
            np.save(temporary, array)


def make_pool(folder: Path, settings: PoolSettings, size: tuple[int, int]) -> None:
    """Settles the scenes and renders the shards that are not there yet.

    Raises:
        DatasetError: The folder holds pictures of other settings, or a scene cannot be settled.
        BackendError: A process ended without a result.
    """
    _check_settings(folder / CONFIG_FILE, settings, size)
    scenes_path = folder / f"scenes-{settings.scene_seed}-{settings.scene_count}.npz"
    if not scenes_path.is_file():
        logger.info("settling %d scenes into %s", settings.scene_count, scenes_path)
        seeds = [settings.scene_seed + i for i in range(settings.scene_count)]
        save_scenes(scenes_path, settle_scenes(seeds, settings.processes, settings.scenes))
    numbers = range(-(-settings.pictures // SHARD))
    missing = [n for n in numbers if not (folder / f"pixels-{n:05d}.npy").is_file()]
    if missing:
        logger.info("rendering %d shards of pictures into %s", len(missing), folder)
    render = partial(_render_shard, folder, scenes_path, settings, size)
    for _ in map_here(render, missing, settings.processes):
        pass


def _check_settings(path: Path, settings: PoolSettings, size: tuple[int, int]) -> None:
    """Writes what a pool is made of beside it, or compares with what is written there."""
    wanted = {**to_plain(settings), "size": list(size)}
    for name in ("folder", "processes"):
        del wanted[name]
    if not path.is_file():
        write_yaml(path, wanted)
    elif changes := list(differences(read_yaml(path), wanted)):
        raise DatasetError(
            f"{path.parent}: pictures of other settings ({'; '.join(changes[:3])}); "
            "choose another folder"
        )


class PicturePool:
    """Reads the pictures of a pool by number.

    Raises:
        DatasetError: A shard is missing or broken.
    """

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob("pixels-*.npy"))
        if not paths:
            raise DatasetError(f"{folder}: no pixels-*.npy shards")
        try:
            self._pixels = [np.load(path, mmap_mode="r") for path in paths]
            self._intrinsics = [
                np.load(path.with_name(path.name.replace("pixels", "intrinsics"))) for path in paths
            ]
        except (OSError, ValueError) as error:
            raise DatasetError(f"{folder}: broken shard: {error}") from error
        self._ends = np.cumsum([len(shard) for shard in self._pixels])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def batch(self, numbers: list[int]) -> Rendered:
        """The pictures of these numbers, as one batch."""
        records, intrinsics = [], []
        for number in numbers:
            shard = int(np.searchsorted(self._ends, number, side="right"))
            row = number - (int(self._ends[shard - 1]) if shard else 0)
            records.append(self._pixels[shard][row])
            intrinsics.append(self._intrinsics[shard][row])
        return unpack(np.stack(records), np.stack(intrinsics))
