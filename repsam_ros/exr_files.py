"""Reading of OpenEXR images, with errors that name the file.

OpenCV leaves OpenEXR out unless an environment variable is set before it is imported, so the
package of the format itself reads them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import BackendError, DatasetError


def read_exr(path: Path, channel: str = "R") -> NDArray[np.float32]:
    """One channel, (H, W) float32; half floats are widened, NaN and infinity stay.

    Raises:
        BackendError: OpenEXR is not installed.
        DatasetError: The file is missing, broken or without that channel.
    """
    try:
        import OpenEXR
    except ImportError as error:
        raise BackendError(
            "reading .exr images needs OpenEXR: pip install 'repsam_ros[exr]'"
        ) from error
    if not path.is_file():
        raise DatasetError(f"{path}: no such file")
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = file.channels()
            if channel not in channels:
                names = ", ".join(sorted(channels))
                raise DatasetError(f"{path}: expected a channel {channel}, got {names}")
            return np.array(channels[channel].pixels, np.float32)
    except DatasetError:
        raise
    except (RuntimeError, ValueError) as error:
        raise DatasetError(f"{path}: not a readable EXR image") from error
