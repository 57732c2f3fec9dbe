"""Files of tensors in the format safetensors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from repsam_ros.errors import CheckpointError


@contextmanager
def opened_tensors(path: Path, framework: str = "pt") -> Iterator[Any]:
    """What ``safe_open`` gives, whose methods have no types; only what is asked for is read.

    Args:
        framework: Of the tensors that are asked for: ``pt`` or ``np``.

    Raises:
        CheckpointError: The file is missing or broken.
    """
    what = f"{path}: not a readable safetensors file"
    try:
        file = safe_open(path, framework=framework)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{what}: {error}") from error
    try:  # an OSError of the block is not about this file
        with file as stream:
            yield stream
    except SafetensorError as error:
        raise CheckpointError(f"{what}: {error}") from error


def tensor_sizes(path: Path) -> dict[str, int]:
    """How many numbers each tensor of a file holds; none is read.

    Raises:
        CheckpointError: The file is missing or broken.
    """
    with opened_tensors(path) as stream:
        return {
            name: math.prod(stream.get_slice(name).get_shape())
            for name in stream.keys()  # noqa: SIM118
        }
