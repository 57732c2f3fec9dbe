"""Object Clutter Indoor Dataset (OCID): scenes that grow by an object a frame, TU Wien.

``SUBSET/{floor,table}/{bottom,top}/[KIND/]seqNN/{rgb,depth,label}/NAME.png``, 640x480, in the
sub-sets ARID20 (no KIND), ARID10 and YCB10; depth in uint16 millimetres (M. Suchi et al.,
"EasyLabel", ICRA 2019). Ids are uint16: 0 has no point in the cloud, 1 is the floor or what
lies about the table, 2 on a table is its top; the objects follow. A strip at the right border
has no depth, because depth is registered to colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repsam_ros.datasets import LazyDataset, Sample
from repsam_ros.datasets._layout import camera_of_size, natural, read_images
from repsam_ros.errors import DatasetError
from repsam_ros.images import find_files
from repsam_ros.structures import Intrinsics, RgbdFrame

SPLITS = ("test",)
OFFICIAL_COUNTS = {"test": 2390}
SUBSETS = ("ARID20", "ARID10", "YCB10")
CAMERA = Intrinsics(fx=570.34, fy=570.34, cx=319.5, cy=239.5, width=640, height=480)
_LAST_BACKGROUND_ID = {"floor": 1, "table": 2}
_VIEWS = ("bottom", "top")
# The released ids of this one sequence are 0, 256, 257 ... instead of 0, 1, 2 ...
_SHIFTED_SEQUENCE, _FIRST_SHIFTED_ID, _ID_SHIFT = "ARID10/floor/top/curved/seq05", 256, 255


@dataclass(frozen=True)
class Config:
    """Where the data set lies: the folder with the sub-sets, or the one above it.

    Every frame is a test frame.
    """

    root: Path
    split: str | None = None


def build(config: Config) -> LazyDataset:
    """The frames of the sub-sets that are there.

    Raises:
        DatasetError: There is no sub-set, or a sequence has no folder ``rgb``.
    """
    root = config.root
    if (root / "OCID-dataset").is_dir():
        root /= "OCID-dataset"
    if not any((root / subset).is_dir() for subset in SUBSETS):
        raise DatasetError(f"{root}: no folder {', '.join(SUBSETS[:-1])} or {SUBSETS[-1]}")
    colors = {
        f"{sequence.relative_to(root).as_posix()}/{stem}": path
        for sequence in _sequences(root)
        for stem, path in find_files(sequence / "rgb").items()
    }
    if not colors:
        raise DatasetError(f"{root}: no images at SUBSET/{{floor,table}}/{{bottom,top}}/.../rgb")
    names = sorted(colors, key=natural)

    def read(index: int) -> Sample:
        name = names[index]
        path = colors[name]
        depth, label = (path.parents[1] / kind / f"{path.stem}.png" for kind in ("depth", "label"))
        color, depth_m, ids = read_images(path, depth, label)
        frame = RgbdFrame(color, depth_m, camera_of_size(CAMERA, path, ids.shape))
        ignore = np.zeros(ids.shape, np.bool_)
        return Sample(name, frame, _objects(name, ids), ignore, scene=_sequence(name))

    return LazyDataset(names, read)


def _sequences(root: Path) -> list[Path]:
    views = [
        root / subset / support / view
        for subset in SUBSETS
        for support in _LAST_BACKGROUND_ID
        for view in _VIEWS
    ]
    return [path for view in views for glob in ("seq*", "*/seq*") for path in view.glob(glob)]


def _sequence(name: str) -> str:
    return name.rpartition("/")[0]


def _objects(name: str, ids: NDArray[np.uint16]) -> NDArray[np.uint16]:
    support = name.split("/")[1]
    if _sequence(name) == _SHIFTED_SEQUENCE:
        ids = np.where(ids >= _FIRST_SHIFTED_ID, ids - _ID_SHIFT, ids).astype(np.uint16)
    return np.where(ids > _LAST_BACKGROUND_ID[support], ids, 0).astype(np.uint16)
