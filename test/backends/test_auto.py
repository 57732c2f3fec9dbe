"""The choice of a backend: checked, timed, remembered, and said."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from repsam_ros.backends import BackendConfig, open_backend
from repsam_ros.backends._graph_folder import cache_folder
from repsam_ros.errors import BackendError

pytest.importorskip("onnxruntime")
MakeFolder = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def auto(folder: Path, precision: str = "fp32") -> BackendConfig:
    return BackendConfig("auto", str(folder), precision=precision, threads=1)


def test_takes_one_that_runs_here_and_says_why(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    backend = open_backend(auto(make_folder(fp32=0)))
    name = backend.info().name
    assert name in ("onnxruntime", "openvino")
    (line,) = [r.getMessage() for r in caplog.records if " is the fastest" in r.getMessage()]
    assert line.startswith(f"auto: {name} is the fastest") and " ms" in line and "torch: " in line


def test_the_choice_is_remembered_and_made_again_where_the_memory_is_broken(
    make_folder: MakeFolder, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = make_folder(fp32=0)
    first = open_backend(auto(folder)).info()
    assert "as found before" not in caplog.text
    assert open_backend(auto(folder)).info() == first
    assert "as found before" in caplog.text
    (memory,) = (cache / "repsam_ros" / "backends").iterdir()
    memory.write_text("{")
    caplog.clear()
    open_backend(auto(folder))
    assert "cannot be read" in caplog.text and " is the fastest" in caplog.text


def test_without_a_place_for_it_the_choice_is_made_at_each_start_and_that_is_said(
    make_folder: MakeFolder, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.write_text("in the place of the folder")
    folder = make_folder(fp32=0)
    for _ in range(2):
        caplog.clear()
        assert open_backend(auto(folder)).info().name in ("onnxruntime", "openvino")
        lines = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        assert lines[-1].startswith(f"auto: looked for anew at each start, {cache}")
        assert lines[-1].endswith("Not a directory")


def test_one_that_fails_when_it_runs_is_passed_over(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("torch")
    caplog.set_level(logging.INFO)
    # In the place of the model's own graphs are some for pictures of another size, which open.
    kept = cache_folder("repsam_tiny")
    kept.parent.mkdir(parents=True)
    make_folder(fp32=0).rename(kept)
    assert open_backend(BackendConfig("auto", threads=1)).info().name == "torch"
    (line,) = [r.getMessage() for r in caplog.records if " is the fastest" in r.getMessage()]
    assert "auto: torch is the fastest: torch " in line
    assert "onnxruntime: ONNX Runtime failed" in line


def test_where_all_fail_each_is_named_with_its_reason(make_folder: MakeFolder) -> None:
    folder = make_folder(fp32=0)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["model"]["canvas_px"] = [64, 64]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BackendError, match="no backend works here: ") as caught:
        open_backend(auto(folder))
    assert "onnxruntime: ONNX Runtime failed: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_graphs_that_compute_something_else_are_not_taken(make_folder: MakeFolder) -> None:
    with pytest.raises(BackendError, match="onnxruntime: relative error"):
        open_backend(auto(make_folder(fp32=0, fp16=1), "fp16"))
