"""The errors this package raises on purpose.

    RepsamError
    ├── ConfigError      (ValueError)    unknown key, wrong type, value out of range
    ├── DatasetError     (ValueError)    missing path, broken file, wrong layout, corrupt bag
    ├── CheckpointError  (RuntimeError)  missing, corrupt or mismatching weights
    ├── BackendError     (RuntimeError)  a run-time backend is missing or fails
    └── FrameError       (ValueError)    a camera frame that cannot be used

The command line turns each of them into one line on stderr and exit code 2;
the nodes count them by cause and go on with the next frame.
"""

from __future__ import annotations

from collections.abc import Sequence


class RepsamError(Exception):
    """Base of every error raised on purpose."""


class ConfigError(RepsamError, ValueError):
    """A configuration names an unknown key or holds an unusable value."""


class DatasetError(RepsamError, ValueError):
    """A data set, image file or bag is missing, broken or not in its layout."""


class CheckpointError(RepsamError, RuntimeError):
    """Weights are missing, fail their hash or do not fit the network."""


class DivergedError(CheckpointError):
    """A training's loss or gradients became infinite or NaN."""


class BackendError(RepsamError, RuntimeError):
    """A run-time backend is missing, fails its check or fails at run time."""


class FrameError(RepsamError, ValueError):
    """A camera frame cannot be used.

    Attributes:
        cause: Short stable identifier for counting (``"size_mismatch"``, ``"empty_depth"`` ...).
    """

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


def shortened(names: Sequence[str], count: int = 3) -> str:
    """The first ``count`` names and how many more there are."""
    rest = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + rest
