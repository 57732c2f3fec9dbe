"""Folders of graphs: what is read, what is refused, and the cache of exported ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from repsam_ros.backends import BackendConfig
from repsam_ros.backends._graph_folder import (
    GraphFolder,
    cache_folder,
    open_graphs,
    remove_unused,
)
from repsam_ros.errors import BackendError, CheckpointError, ConfigError

MakeFolder = Callable[..., Path]


def test_what_the_manifest_says(make_folder: MakeFolder) -> None:
    folder = GraphFolder(make_folder(fp32=0, fp16=1))
    assert folder.precisions == ("fp16", "fp32") and folder.canvas_px == (32, 40)
    assert folder.graph("fp16", "encoder").name == "encoder.fp16.onnx"
    assert folder.outputs("encoder") == ("heatmap", "embedding", "skip")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no folder of graphs"),
        ("{", "not JSON"),
        ("[]", "not of format"),
        ('{"format": 99}', "not of format"),
        ('{"format": 1, "model": {}}', "lacks an entry"),
    ],
)
def test_a_broken_manifest_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(CheckpointError, match=message):
        GraphFolder(tmp_path)


def test_a_missing_graph_and_a_missing_precision_are_named(make_folder: MakeFolder) -> None:
    path = make_folder(fp32=0)
    (path / "encoder.fp32.onnx").unlink()
    with pytest.raises(CheckpointError, match=r"encoder\.fp32\.onnx is missing"):
        GraphFolder(path).graph("fp32", "encoder")
    with pytest.raises(BackendError, match="no graphs in bf16, it has fp32"):
        GraphFolder(path).graph("bf16", "encoder")


def test_external_data_is_checked_too(make_folder: MakeFolder) -> None:
    path = make_folder(fp32=0)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["graphs"]["fp32"]["encoder"]["data"] = {"encoder.fp32.onnx.data": "0" * 64}
    (path / "manifest.json").write_text(json.dumps(manifest))
    (path / "encoder.fp32.onnx.data").write_bytes(b"weights")
    with pytest.raises(CheckpointError, match=r"onnx\.data: sha256"):
        GraphFolder(path).graph("fp32", "encoder")


def test_exported_graphs_are_found_in_the_cache(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = cache_folder("repsam_tiny")
    assert kept.is_relative_to(tmp_path)
    kept.parent.mkdir(parents=True)
    make_folder(fp32=0).rename(kept)
    assert open_graphs(BackendConfig("onnxruntime", "repsam_tiny")).path == kept


def test_graphs_that_were_not_used_for_longest_leave_the_cache(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    used = cache_folder("repsam_tiny")
    shutil.copytree(make_folder(fp32=0), used)
    for number in range(4):
        shutil.copytree(used, used.with_name(f"other-{number}"))
    for age_s, name in enumerate(["other-2", "other-0", "other-3", "other-1", used.name]):
        made_s = 1_700_000_000 - age_s
        os.utime(used.with_name(name) / "manifest.json", (made_s, made_s))
    (used.parent / "other-0.lock").touch()  # of a process that exports
    open_graphs(BackendConfig("onnxruntime", "repsam_tiny"))
    remove_unused(used.parent, most=3)
    left = {path.name for path in used.parent.iterdir()}
    assert left == {used.name, "other-2", "other-0", "other-0.lock"}


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "repsam_ros").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BackendError, match=r"graphs cannot be written: Not a directory"):
        open_graphs(BackendConfig("onnxruntime", "repsam_tiny"))


@pytest.mark.parametrize(
    "package", ["onnx", "onnxscript", "peft", "segment-anything", "timm", "torch", "transformers"]
)
def test_other_models_and_packages_have_other_graphs(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = cache_folder("repsam_tiny")
    assert cache_folder("repsam_tiny") == folder
    assert cache_folder("base_v0") != folder
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda n: "99" if n == package else version(n))
    assert cache_folder("repsam_tiny") != folder


def test_code_that_networks_are_made_by_has_graphs_of_its_own(tmp_path: Path) -> None:
    package = Path(__file__).parents[2] / "repsam_ros"
    shutil.copytree(package, tmp_path / "repsam_ros", ignore=shutil.ignore_patterns("*.pyc"))
    (tmp_path / "models").mkdir()
    shutil.copy(package.parent / "models" / "manifest.yaml", tmp_path / "models")
    parts = ["network/build.py", "network/backbones/sam2.py", "methods/lora.py", "export/graphs.py"]
    code = (
        "from pathlib import Path\n"
        "from repsam_ros.backends._graph_folder import cache_folder\n"
        f"for part in {['cli/main.py', *parts]}:\n"
        "    path = Path('repsam_ros', part)\n"
        "    path.write_text(path.read_text() + '# another revision\\n')\n"
        "    print(cache_folder('repsam_tiny').name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    names = done.stdout.split()
    assert names[0] == cache_folder("repsam_tiny").name
    assert len(set(names)) == 1 + len(parts)


def test_an_unknown_model_lists_what_exists() -> None:
    with pytest.raises(ConfigError, match="repsam_tiny"):
        open_graphs(BackendConfig("onnxruntime", "nonexistent"))


def test_without_torch_it_says_to_export_elsewhere(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'onnx')))\n"
        "from repsam_ros.backends import BackendConfig\n"
        "from repsam_ros.backends._graph_folder import open_graphs\n"
        "from repsam_ros.errors import BackendError\n"
        "try: open_graphs(BackendConfig('onnxruntime', 'repsam_tiny'))\n"
        "except BackendError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"XDG_CACHE_HOME": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "repsam export" in done.stdout
