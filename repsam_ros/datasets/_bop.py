"""Data sets in the layout of the BOP challenge (T. Hodan et al., ECCV 2018; bop.felk.cvut.cz).

``test/SCENE/{rgb,depth}/IMID.png``, ``mask_visib/IMID_GTID.png`` and ``scene_camera.json``,
``scene_gt.json``, ``scene_gt_info.json``, numbers of six digits. GTID counts the annotations of
an image in ``scene_gt.json``; the instance id is GTID + 1. Depth is uint16, and times the
image's ``depth_scale`` it is in millimetres. ``test_targets_bop19.json`` in the root lists the
part of the images that results are reported on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.datasets import LazyDataset, Sample
from repsam_ros.datasets._files import read_json, require_size
from repsam_ros.datasets._layout import camera_of_matrix
from repsam_ros.datasets._partial_labels import unknown_pixels
from repsam_ros.errors import DatasetError, shortened
from repsam_ros.images import read_color, read_depth, read_labels
from repsam_ros.structures import Intrinsics, RgbdFrame

ALL, TARGETS = "test", "test_bop19"
SPLITS = (ALL, TARGETS)
_CAMERA, _TRUTH, _INFO = "scene_camera.json", "scene_gt.json", "scene_gt_info.json"


@dataclass(frozen=True)
class Config:
    """Where the data set lies: the folder with ``test``."""

    root: Path
    split: str | None = None


def build(config: Config) -> BopImages:
    """See :class:`BopImages`."""
    return BopImages(config.root, config.split)


class BopImages(LazyDataset):
    """The test images under ``root`` in order of scene and image; names are ``SCENE/IMID``.

    Without a split, or as ``test``, these are all images, those of ``test_bop19`` among them.

    Raises:
        DatasetError: A folder or file of the layout is missing or broken, or an image that is
            a target is not there.
    """

    def __init__(self, root: Path, split: str | None) -> None:
        self._split = split or ALL
        self._folder = root / "test"
        self._contents: dict[Path, dict[str, Any]] = {}
        if not self._folder.is_dir():
            raise DatasetError(f"{self._folder}: no such folder")
        scenes = [path for path in self._folder.iterdir() if path.name.isdecimal()]
        if not scenes:
            raise DatasetError(f"{self._folder}: no scenes")
        images = sorted(
            (scene.name, int(image)) for scene in scenes for image in self._content(scene / _CAMERA)
        )
        if self._split == TARGETS:
            images = _targets(root / "test_targets_bop19.json", images)
        self._images = images
        super().__init__([f"{scene}/{image:06d}" for scene, image in images], self._sample)

    def _sample(self, index: int) -> Sample:
        scene, image = self._images[index]
        folder = self._folder / scene
        color = read_color(folder / "rgb" / f"{image:06d}.png")
        camera, depth_scale_m = self._camera(folder, image, color.shape[:2])
        depth_path = folder / "depth" / f"{image:06d}.png"
        depth_m = read_depth(depth_path, depth_scale_m)
        require_size(depth_path, depth_m, color.shape)
        labels, contested = self._labels(folder, image, color.shape[:2])
        ignore = unknown_pixels(labels) | contested
        frame = RgbdFrame(color, depth_m, camera)
        return Sample(self._names[index], frame, labels, ignore, self._split, scene=scene)

    def _camera(self, folder: Path, image: int, size: tuple[int, ...]) -> tuple[Intrinsics, float]:
        path = folder / _CAMERA
        entry = self._entry(path, image)
        try:
            matrix = np.array(entry["cam_K"], np.float64).reshape(3, 3)
            depth_scale_m = 0.001 * float(entry["depth_scale"])
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{path}: no cam_K and depth_scale of image {image}") from error
        return camera_of_matrix(matrix, path, size), depth_scale_m

    def _labels(
        self, folder: Path, image: int, size: tuple[int, ...]
    ) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        """Labels and the pixels that two masks claim, which are of neither."""
        labels = np.zeros(size, np.uint16)
        contested = np.zeros(size, np.bool_)
        for k, pixels in enumerate(self._visible_pixels(folder, image)):
            # Hidden objects are annotated too; their masks are empty or not there.
            if not pixels:
                continue
            path = folder / "mask_visib" / f"{image:06d}_{k:06d}.png"
            mask = read_labels(path) > 0
            require_size(path, mask, size)
            contested |= mask & (labels > 0)
            labels[mask] = k + 1
        labels[contested] = 0
        return labels, contested

    def _visible_pixels(self, folder: Path, image: int) -> list[int]:
        """How much of each annotated object is seen."""
        infos = self._entry(folder / _INFO, image)
        truths = self._entry(folder / _TRUTH, image)
        for path, entries in ((folder / _TRUTH, truths), (folder / _INFO, infos)):
            if not isinstance(entries, list) or len(entries) != len(truths):
                raise DatasetError(f"{path}: no list of the objects of image {image}")
        try:
            return [int(info["px_count_visib"]) for info in infos]
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{folder / _INFO}: no px_count_visib of image {image}") from error

    def _entry(self, path: Path, image: int) -> Any:
        content = self._content(path)
        if str(image) not in content:
            raise DatasetError(f"{path}: nothing on image {image}")
        return content[str(image)]

    def _content(self, path: Path) -> dict[str, Any]:
        if path not in self._contents:
            content = read_json(path)
            if not isinstance(content, dict) or not all(key.isdecimal() for key in content):
                raise DatasetError(f"{path}: expected entries by number of image")
            self._contents[path] = content
        return self._contents[path]


def _targets(path: Path, images: list[tuple[str, int]]) -> list[tuple[str, int]]:
    entries = read_json(path)
    try:
        targets = {(f"{entry['scene_id']:06d}", int(entry["im_id"])) for entry in entries}
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: expected a list of scene_id and im_id") from error
    if missing := sorted(targets - set(images)):
        names = [f"{scene}/{image:06d}" for scene, image in missing]
        raise DatasetError(f"{path}: not in test/: {shortened(names)}")
    return sorted(targets)
