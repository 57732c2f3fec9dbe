"""What ``repsam simulate`` writes; docs/simulated_layout.md explains every file.

This file alone knows the layout: the writer takes names, folders and splits from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.datasets import LazyDataset, Sample
from repsam_ros.datasets._files import read_json
from repsam_ros.datasets._layout import read_images
from repsam_ros.errors import DatasetError, FrameError, shortened
from repsam_ros.images import find_files, read_color, read_depth, read_labels
from repsam_ros.structures import Intrinsics, RgbdFrame

SPLITS = ("train", "test")
FORMAT, VERSION = "repsam_ros simulated", 1
SUMMARY_FILE, CONFIG_FILE = "dataset.json", "config.yaml"
COLOR, DEPTH, TRUE_DEPTH, IDS, AMODAL, TRANSPARENT, META, TWINS = (
    "rgb",
    "depth",
    "true_depth",
    "ids",
    "amodal",
    "transparent",
    "meta",
    "twins",
)
IMAGE_FOLDERS = (COLOR, DEPTH, TRUE_DEPTH, IDS, AMODAL, TRANSPARENT)
DEPTH_SCALE_M = 0.001
# Three bytes of colour hold one bit for each id.
MAX_ID = 24
# Objects that show a smaller share of the picture are no truth that anyone could ask for.
MIN_VISIBLE_SHARE = 0.0008
_TEST_EVERY = 10


def frame_name(scene: int, view: int) -> str:
    """Stem of all files of one frame."""
    return f"{scene:06d}-{view:02d}"


def split_of(scene: int) -> str:
    """Every tenth scene, from the first, is for tests; more scenes never move a scene."""
    return "test" if scene % _TEST_EVERY == 0 else "train"


def without_slivers(
    ids: NDArray[np.uint16],
) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Labels and ignore mask (H, W) of visible ids (H, W): slivers of objects are ignored."""
    visible = np.bincount(ids.ravel())
    slivers = np.flatnonzero(visible < MIN_VISIBLE_SHARE * ids.size)
    ignore = np.isin(ids, slivers[slivers > 0])
    return np.where(ignore, 0, ids).astype(np.uint16), ignore


def pack_masks(ids: NDArray[np.int64], masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB in which bit ``id - 1``, red lowest, says where the mask of an id is true.

    Args:
        ids: (N,) in 1..MAX_ID.
        masks: (N, H, W).
    """
    bits = np.zeros(masks.shape[1:], np.uint32)
    for number, mask in zip(ids, masks, strict=True):
        bits |= mask.astype(np.uint32) << np.uint32(number - 1)
    return np.stack([bits >> shift & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)


def unpack_mask(packed: NDArray[np.uint8], number: int) -> NDArray[np.bool_]:
    """(H, W) mask of id ``number`` from :func:`pack_masks`."""
    channel, bit = divmod(number - 1, 8)
    mask: NDArray[np.bool_] = (packed[..., channel] >> bit & 1).astype(np.bool_)
    return mask


@dataclass(frozen=True)
class Config:
    """Where the data set lies, and which of ``SPLITS``; None = both."""

    root: Path
    split: str | None = None


class Simulated(LazyDataset):
    """The frames of a finished run of ``repsam simulate``.

    Raises:
        DatasetError: The folder is not of that layout or not finished, or a frame lacks a file.
    """

    def __init__(self, root: Path, split: str | None = None) -> None:
        self._root = root
        self.summary = _read_summary(root)
        scenes, views = int(self.summary["scenes"]), int(self.summary["views"])
        every = [frame_name(s, v) for s in range(scenes) for v in range(views)]
        self._check_files(every)
        super().__init__(
            [name for name in every if split in (None, split_of(_scene(name)))], self._sample
        )

    def _check_files(self, names: list[str]) -> None:
        for folder, suffix in (*((f, ".png") for f in IMAGE_FOLDERS), (META, ".json")):
            found = find_files(self._root / folder, (suffix,))
            if missing := [name for name in names if name not in found]:
                raise DatasetError(f"{self._root / folder}: no {suffix} file {shortened(missing)}")

    def _sample(self, index: int) -> Sample:
        return read_sample(self._root, self._names[index])

    def meta(self, index: int) -> dict[str, Any]:
        """Camera, objects and seed of one frame: its JSON file."""
        return read_meta(self._root, self._names[index])

    def amodal(self, index: int) -> dict[int, NDArray[np.bool_]]:
        """(H, W) full extent by id, of every object in the picture, hidden ones too."""
        packed = read_color(_image(self._root, AMODAL, self._names[index]))
        return {item["id"]: unpack_mask(packed, item["id"]) for item in self.meta(index)["objects"]}

    def twin(self, index: int, twin: str) -> RgbdFrame:
        """The twin of one frame: the same but for the factor that the twin's name says.

        Raises:
            DatasetError: The data set was made without that twin, or a file is broken.
        """
        made: list[str] = self.summary["twins"]
        if twin not in made:
            raise DatasetError(
                f"{self._root}: no twin {twin!r}; there are: {', '.join(made) or 'none'}"
            )
        name, folder = self._names[index], f"{TWINS}/{twin}"
        return RgbdFrame(
            read_color(_image(self._root, f"{folder}/{COLOR}", name)),
            read_depth(_image(self._root, f"{folder}/{DEPTH}", name), DEPTH_SCALE_M),
            _intrinsics(self._root, name),
        )


def build(config: Config) -> Simulated:
    return Simulated(config.root, config.split)


def read_sample(root: Path, name: str) -> Sample:
    """One frame, also of a data set that is not finished yet.

    Raises:
        DatasetError: A file is missing or broken.
    """
    rgb, depth, ids_path = (_image(root, folder, name) for folder in (COLOR, DEPTH, IDS))
    color, depth_m, ids = read_images(rgb, depth, ids_path, DEPTH_SCALE_M)
    labels, ignore = without_slivers(ids)
    return Sample(
        name,
        RgbdFrame(color, depth_m, _intrinsics(root, name)),
        labels,
        ignore,
        split_of(_scene(name)),
        read_labels(_image(root, TRANSPARENT, name)) > 0,
        read_depth(_image(root, TRUE_DEPTH, name), DEPTH_SCALE_M),
        name.partition("-")[0],
    )


def read_meta(root: Path, name: str) -> dict[str, Any]:
    """The description of one frame.

    Raises:
        DatasetError: It is missing or broken.
    """
    return _read_object(root / META / f"{name}.json")


def _image(root: Path, folder: str, name: str) -> Path:
    return root / folder / f"{name}.png"


def _intrinsics(root: Path, name: str) -> Intrinsics:
    fields = ("fx", "fy", "cx", "cy", "width", "height")
    try:
        stored = read_meta(root, name)["intrinsics"]
        return Intrinsics(**{field: stored[field] for field in fields})
    except (KeyError, TypeError, FrameError) as error:
        path = root / META / f"{name}.json"
        raise DatasetError(f"{path}: no usable intrinsics: {error!r}") from error


def _scene(name: str) -> int:
    return int(name.partition("-")[0])


def _read_summary(root: Path) -> dict[str, Any]:
    path = root / SUMMARY_FILE
    summary = _read_object(path)
    if (summary.get("format"), summary.get("version")) != (FORMAT, VERSION):
        raise DatasetError(f"{path}: not a data set of repsam simulate, layout {VERSION}")
    if not summary.get("finished"):
        raise DatasetError(
            f"{root}: not finished; start the same repsam simulate again and it goes on"
        )
    if missing := [key for key in ("scenes", "views", "twins") if key not in summary]:
        raise DatasetError(f"{path}: lacks {shortened(missing)}")
    return summary


def _read_object(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: expected a JSON object")
    return content
