"""Files of NumPy arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import DatasetError


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an NPZ file by name, or the one of an NPY file, whose name is empty.

    Raises:
        DatasetError: The file is missing or damaged, or another kind of file.
    """
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            return {"": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # zipfile, zlib and tokenize have their own on damaged bytes
        raise DatasetError(f"{path}: not a readable NumPy file: {error}") from error
