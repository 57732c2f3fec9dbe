"""The default model as graphs, exported once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that ``repsam export`` writes."""
    for package in ("torch", "onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    from repsam_ros.cli.main import main

    folder = tmp_path_factory.mktemp("exported")
    assert main(["export", "--out", str(folder)]) == 0
    return folder
