"""The cache hands out what was built, and nothing else."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from repsam_ros.backends import _engine_cache
from repsam_ros.backends._engine_build import BuildWatch, EngineRequest
from repsam_ros.backends._engine_cache import EngineCache, graph_sha256
from repsam_ros.errors import BackendError
from repsam_ros.paths import file_sha256

rtx = pytest.importorskip("tensorrt_rtx")
VERSION = rtx.__version__
GPU = {"name": "none", "driver": 13000}


@pytest.fixture
def wanted(graphs: Path) -> EngineRequest:
    return EngineRequest(graphs / "encoder.fp32.onnx", "tensorrt_rtx", {}, "SM89")


@pytest.fixture(scope="module")
def filled(graphs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with one engine."""
    folder = tmp_path_factory.mktemp("filled")
    request = EngineRequest(graphs / "encoder.fp32.onnx", "tensorrt_rtx", {}, "SM89")
    EngineCache(folder).get_or_build(request, VERSION, GPU)
    return folder


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    for path in filled.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def the(folder: Path, suffix: str) -> Path:
    (path,) = folder.glob(f"*{suffix}")
    return path


def test_an_engine_is_built_once_and_described(filled, wanted, caplog):
    caplog.set_level(logging.INFO)
    before = the(filled, ".engine").stat()
    found = EngineCache(filled).get_or_build(wanted, VERSION, GPU)
    assert found.path == the(filled, ".engine")
    assert found.path.stat().st_mtime_ns == before.st_mtime_ns
    assert found.sha256 == file_sha256(found.path)
    assert found.report.warnings == () and found.report.version == VERSION
    sidecar = json.loads(the(filled, ".json").read_text())
    assert sidecar["engine_sha256"] == found.sha256 and sidecar["bytes"] == before.st_size
    assert sidecar["built_for"]["graph_sha256"] == graph_sha256(wanted.onnx)
    assert not caplog.records, "nothing was built"
    assert not list(filled.glob(".*")), "no temporary file is left"


def test_engines_that_were_not_used_for_longest_make_room(folder, wanted, monkeypatch):
    monkeypatch.setattr(_engine_cache, "_MOST_ENGINES", 3)
    cache, first = EngineCache(folder), the(folder, ".engine")
    content, sidecar = first.read_bytes(), first.with_suffix(".json").read_bytes()
    others = [folder / f"{number:032d}.engine" for number in range(3)]
    for age_s, path in enumerate((*others, first), 100):
        path.write_bytes(content)
        path.with_suffix(".json").write_bytes(sidecar)
        os.utime(path.with_suffix(".json"), (age_s, age_s))
    (folder / "0.passed.json").write_text("{}")
    os.utime(others[0].with_suffix(".json"))
    cache.get_or_build(wanted, VERSION, GPU)  # both of these are used now
    built = cache.get_or_build(wanted, VERSION, {**GPU, "driver": 13010}).path
    assert set(folder.glob("*.engine")) == {others[0], first, built}
    assert not others[1].with_suffix(".json").exists()
    assert (folder / "0.passed.json").exists()


def change_engine(folder: Path) -> None:
    path = the(folder, ".engine")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate_engine(folder: Path) -> None:
    path = the(folder, ".engine")
    path.write_bytes(path.read_bytes()[:100])


def truncate_sidecar(folder: Path) -> None:
    path = the(folder, ".json")
    path.write_text(path.read_text()[:40])


def forget_sidecar(folder: Path) -> None:
    the(folder, ".json").unlink()


def forget_engine(folder: Path) -> None:
    the(folder, ".engine").unlink()


def come_from_another_gpu(folder: Path) -> None:
    content = json.loads(the(folder, ".json").read_text())
    content["built_for"]["gpu"]["name"] = "another"
    the(folder, ".json").write_text(json.dumps(content))


SPOILED = {
    change_engine: "bytes are not the ones",
    truncate_engine: "bytes are not the ones",
    truncate_sidecar: "",
    forget_sidecar: "No such file",
    forget_engine: "No such file",
    come_from_another_gpu: "built for something else",
}


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_a_spoiled_entry_is_built_anew_and_said(folder, wanted, caplog, spoil):
    good = the(folder, ".engine").read_bytes()
    spoil(folder)
    found = EngineCache(folder).get_or_build(wanted, VERSION, GPU)
    assert found.path.read_bytes() == good
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "is not used and built anew" in record.message and SPOILED[spoil] in record.message
    assert str(found.path) in record.message


def test_what_an_engine_depends_on_makes_another_entry(folder, wanted, tmp_path, monkeypatch):
    """Without building: a cancelled build says that one would be needed."""
    watch = BuildWatch()
    watch.cancel()
    cache = EngineCache(folder)
    assert cache.get_or_build(wanted, VERSION, GPU, watch).sha256
    other_graph = tmp_path / wanted.onnx.name
    other_graph.write_bytes(wanted.onnx.read_bytes() + b"\0")
    others = (
        (replace(wanted, onnx=other_graph), VERSION, GPU),
        (replace(wanted, target="SM86"), VERSION, GPU),
        (replace(wanted, module="tensorrt"), VERSION, GPU),
        (replace(wanted, profiles={"points_px": ((1, 2), (2, 2), (3, 2))}), VERSION, GPU),
        (wanted, "1.7.2", GPU),
        (wanted, VERSION, {**GPU, "driver": 13010}),
    )
    for request, version, gpu in others:
        with pytest.raises(BackendError, match="was cancelled"):
            cache.get_or_build(request, version, gpu, watch)


def test_external_data_belongs_to_a_graph(tmp_path):
    graph = tmp_path / "encoder.fp32.onnx"
    graph.write_bytes(b"graph")
    alone = graph_sha256(graph)
    data = tmp_path / "encoder.fp32.onnx.data"
    data.write_bytes(b"weights")
    with_data = graph_sha256(graph)
    data.write_bytes(b"Weights")
    (tmp_path / "decoder.fp32.onnx.data").write_bytes(b"of another graph")
    assert len({alone, with_data, graph_sha256(graph)}) == 3


@pytest.mark.parametrize("place", ["file/engines", "/proc/repsam_engines"])
def test_a_cache_that_cannot_be_written_is_named(tmp_path, wanted, place):
    (tmp_path / "file").write_text("not a folder")
    folder = tmp_path / place
    with pytest.raises(BackendError, match="engine cache .* cannot be written") as caught:
        EngineCache(folder).get_or_build(wanted, VERSION, GPU)
    assert str(folder) in str(caught.value)


def test_a_failed_build_leaves_nothing(tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a graph")
    cache = EngineCache(tmp_path / "cache")
    with pytest.raises(BackendError, match="cannot be parsed"):
        cache.get_or_build(EngineRequest(broken, "tensorrt_rtx", {}, "SM89"), VERSION, GPU)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_two_processes_build_once(graphs, tmp_path):
    code = (
        "import logging, sys\n"
        "from pathlib import Path\n"
        "from repsam_ros.backends._engine_build import EngineRequest\n"
        "from repsam_ros.backends._engine_cache import EngineCache\n"
        "logging.basicConfig(level=logging.INFO)\n"
        "request = EngineRequest(Path(sys.argv[1]), 'tensorrt_rtx', {}, 'SM89')\n"
        "print(EngineCache(Path(sys.argv[2])).get_or_build(request, '1', {}).sha256)\n"
    )
    command = [sys.executable, "-c", code, str(graphs / "encoder.fp32.onnx"), str(tmp_path)]
    pipe = subprocess.PIPE
    both = [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert sum("building an engine" in log for _, log in said) == 1


def test_who_waits_for_another_process_can_give_up(folder, wanted):
    import fcntl

    the(folder, ".engine").unlink()
    with the(folder, ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BackendError, match=r"another process holds .*\.lock"):
            EngineCache(folder).get_or_build(wanted, VERSION, GPU, timeout_s=0.01)
        watch = BuildWatch()
        watch.cancel()
        with pytest.raises(BackendError, match="was cancelled"):
            EngineCache(folder).get_or_build(wanted, VERSION, GPU, watch)


def test_leftovers_of_a_killed_process_are_removed(folder, wanted):
    engine = the(folder, ".engine")
    engine.unlink()
    leftover = folder / f".{engine.stem}.abc.engine"
    leftover.write_bytes(b"half an engine")
    EngineCache(folder).get_or_build(wanted, VERSION, GPU)
    assert not leftover.exists()
