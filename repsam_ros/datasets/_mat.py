"""Values of MATLAB files, with errors that name the file."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from repsam_ros.errors import DatasetError

# What scipy raises on files that are cut short or overwritten.
_BROKEN = (
    MatReadError, NotImplementedError, OSError, ValueError, TypeError, LookupError, MemoryError,
    OverflowError, EOFError, struct.error, zlib.error,
)  # fmt: skip


def read_mat(path: Path, *names: str) -> list[NDArray[np.float64]]:
    """The variables ``names`` of a MAT file, as numbers.

    Raises:
        DatasetError: The file is missing or broken, or lacks one of the variables.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: no such file")
    try:
        content = loadmat(path, variable_names=names)
        values = {name: np.asarray(content[name], np.float64) for name in names if name in content}
    except _BROKEN as error:
        raise DatasetError(f"{path}: not a readable MAT file") from error
    if missing := [name for name in names if name not in values]:
        raise DatasetError(f"{path}: no variable {missing[0]}")
    return list(values.values())


def read_depth_scale(path: Path, factor: NDArray[np.float64]) -> float:
    """Metres a step of depth from ``factor_depth``, the steps in a metre.

    Raises:
        DatasetError: The factor is not one positive number.
    """
    if factor.size != 1 or not np.isfinite(factor).all() or factor.item() <= 0:
        raise DatasetError(f"{path}: factor_depth must be one positive number, got {factor}")
    return 1.0 / float(factor.item())
