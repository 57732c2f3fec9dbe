from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from repsam_ros.errors import CheckpointError
from repsam_ros.tensor_files import opened_tensors


def test_only_what_is_wrong_with_the_file_is_blamed_on_it(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"x": np.arange(3, dtype=np.float32)}, path)
    unknown = pytest.raises(CheckpointError, match="weights.safetensors: not a readable")
    with unknown, opened_tensors(path, "np") as stream:
        stream.get_tensor("y")
    with pytest.raises(FileNotFoundError), opened_tensors(path, "np"):
        (tmp_path / "absent" / "copy").write_text("of what was read")
    for unreadable in (tmp_path, tmp_path / "absent"):
        with pytest.raises(CheckpointError, match="not a readable"), opened_tensors(unreadable):
            pass
