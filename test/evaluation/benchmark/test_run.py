"""The benchmark over small folders in the layouts of all data sets, with the shipped model."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from repsam_ros.config import build_config
from repsam_ros.datasets import dataset_names
from repsam_ros.errors import CheckpointError, ConfigError
from repsam_ros.evaluation.benchmark.config import BenchmarkConfig, read_roots
from repsam_ros.evaluation.benchmark.run import PROTOCOLS, Cell, run_benchmark
from repsam_ros.evaluation.benchmark.table import markdown
from repsam_ros.simulation.configuration import load_simulate_config
from repsam_ros.simulation.simulate import simulate

MODEL = "repsam_tiny"
PROMPTED = ("oracle point", "oracle box", "jittered box")


def layout(name: str) -> ModuleType:
    """The tests of a reader, which write its layout."""
    path = Path(__file__).parents[2] / "datasets" / f"test_{name}.py"
    spec = importlib.util.spec_from_file_location(f"layout_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_all(root: Path) -> None:
    """A frame or two in each layout, in folders named after the formats."""
    for name in ("mosd", "osd"):
        (root / name).mkdir()
        layout(name).write_frame(root / name, "test0")
    layout("folders").write_frames(root / "folders", "a")
    layout("ocid").write_frame(root / "ocid", "ARID20/floor/top/seq01", "a")
    layout("graspnet").write_view(root / "graspnet", 100, 0, "realsense")
    clear, bop, ycb = layout("cleargrasp"), layout("bop"), layout("ycb_video")
    clear.write_real(root / "cleargrasp", "000000080")
    clear.write_intrinsics(root / "cleargrasp")
    for name, masks in (("linemod", 1), ("lmo", 2)):
        boxes = [bop.box(20 + 60 * k, 20, 60 + 60 * k, 80) for k in range(masks)]
        bop.write_image(root / name / "test" / "000002", 3, boxes)
    ycb.write_frame(root / "ycb_video", "0048/000001")
    ycb.write_lists(root / "ycb_video", {"keyframe": ["0048/000001"]})
    (root / "wisdom").mkdir()
    layout("wisdom").write_real(root / "wisdom")
    layout("arc2017").write_data_set(root / "arc2017")
    given = {"scenes": 1, "seed": 8, "views": 1, "size": [64, 48]}
    kinds = "scene.kinds={packed: 0, stack: 0, pile: 0, single: 1, bin: 0, shelf: 0}"
    simulate(load_simulate_config(given, None, [kinds]), root / "simulated")


def configured(roots: dict[str, Any], **more: Any) -> BenchmarkConfig:
    places = {name: {"root": str(v)} if isinstance(v, Path) else v for name, v in roots.items()}
    content = {"roots": places, "methods": [MODEL], "bootstrap": {"samples": 20}, **more}
    return build_config(BenchmarkConfig, content, "test")


def cells_of(cells: list[Cell], name: str) -> dict[str, Cell]:
    return {cell.protocol: cell for cell in cells if cell.dataset == name}


@pytest.fixture
def two(tmp_path: Path) -> dict[str, Path]:
    """OSD with three frames, mOSD with two."""
    for name in ("learn1", "learn2", "test0"):
        layout("osd").write_frame(tmp_path / "osd", name)
    (tmp_path / "mosd").mkdir()
    for name in ("a", "b"):
        layout("mosd").write_frame(tmp_path / "mosd", name)
    return {"osd": tmp_path / "osd", "mosd": tmp_path / "mosd"}


def test_every_layout_is_measured(tmp_path: Path) -> None:
    write_all(tmp_path)
    roots: dict[str, Any] = {name: tmp_path / name for name in dataset_names()}
    roots["ycb_video"] = {"root": str(tmp_path / "ycb_video"), "split": "keyframe"}
    out = tmp_path / "out"
    cells = run_benchmark(configured(roots, frames=1), out)
    assert len(cells) == len(roots) * len(PROTOCOLS)
    for name in roots:
        mine = cells_of(cells, name)
        assert tuple(mine) == PROTOCOLS
        if name == "arc2017":
            assert {cell.state for cell in mine.values()} == {"left out"}
            continue
        assert {(cell.state, cell.reason) for cell in mine.values()} == {("measured", "")}
        assert {cell.metrics["n"] for cell in mine.values()} == {1}
        assert 0 <= mine["automatic"].metrics["mean"]["overlap_f"] <= 100
        for protocol in PROMPTED:
            assert 0 <= mine[protocol].metrics["mean"]["prompted_miou"] <= 100
    content = json.loads((out / "benchmark.json").read_text())
    assert len(content["cells"]) == len(cells)
    assert len(content["subjects"][MODEL]["model_sha256"]) == 64
    page = (out / "benchmark.md").read_text()
    assert page == markdown(content)
    assert "| *UOIS-Net-3D* | *published* | - | *86.4* | *76.2* |" in page
    assert "Left out: its labels are places to hold, not instances." in page
    for box in ("oracle box", "jittered box"):
        assert page.count(f"| `{MODEL}` | {box}, through points |") == len(roots) - 1
    assert "No model here takes boxes itself." in page


def test_cells_that_were_measured_are_kept(two: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"

    def run(**more: Any) -> dict[str, tuple[int, int]]:
        run_benchmark(configured(two, frames=2, **more), out)
        files = ((path.name, path.stat()) for path in (out / "cells").iterdir())
        return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in files}

    first = run()
    report = (out / "benchmark.json").read_text()
    assert len(first) == 8
    assert run() == first
    assert (out / "benchmark.json").read_text() == report
    gone, torn = (f"{name}--oracle%20point--{MODEL}.json" for name in ("osd", "mosd"))
    (out / "cells" / gone).unlink()
    (out / "cells" / torn).write_text('{"key": ')
    again = run()
    assert {name for name in first if again[name] != first[name]} == {gone, torn}
    other = run(seed=1)
    assert {name for name in first if other[name] != again[name]} == {
        name for name in first if "jittered" in name
    }
    newest = run(seed=1, bootstrap={"samples": 30})
    assert all(newest[name] != other[name] for name in first)


def test_a_broken_data_set_is_named_and_the_others_go_on(
    two: dict[str, Path], tmp_path: Path
) -> None:
    broken = two["osd"] / "disparity" / "test0.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-9])
    out = tmp_path / "out"
    config = configured({"absent": {"dataset": "osd", "root": "/nowhere"}, **two})
    cells = run_benchmark(config, out)
    for name, reason in (("absent", "/nowhere: no such folder"), ("osd", "test0.png: truncated")):
        mine = cells_of(cells, name).values()
        assert {cell.state for cell in mine} == {"failed"}
        assert all(reason in cell.reason for cell in mine)
    assert cells_of(cells, "mosd")["automatic"].state == "measured"
    assert {path.name.partition("--")[0] for path in (out / "cells").iterdir()} == {"mosd"}
    page = (out / "benchmark.md").read_text()
    assert page.count("Failed: /nowhere: no such folder.") == 1
    broken.write_bytes(whole)
    repaired = cells_of(run_benchmark(config, out), "osd")
    assert repaired["automatic"].metrics["n"] == repaired["oracle point"].metrics["n"] == 3


def test_a_method_sees_what_it_is_told_to(two: dict[str, Path], tmp_path: Path) -> None:
    def scores(name: str, methods: list[str]) -> dict[str, dict[str, float]]:
        config = configured({"mosd": two["mosd"]}, methods=methods, full=methods[0])
        cells = run_benchmark(config, tmp_path / name)
        found = [cell for cell in cells if cell.protocol == "oracle point"]
        return {cell.method: cell.metrics["mean"] for cell in found}

    methods = [MODEL, f"{MODEL}:rgb", f"{MODEL}:depth"]
    before = scores("before", methods)
    for path in (two["mosd"] / "depth").iterdir():
        labels = cv2.imread(str(two["mosd"] / "label" / path.name), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.where(labels == 30, 800, 1000).astype(np.uint16))
    after = scores("after", methods)
    assert before[f"{MODEL}:rgb"] == after[f"{MODEL}:rgb"]
    assert before[f"{MODEL}:depth"] != after[f"{MODEL}:depth"]
    page = (tmp_path / "after" / "benchmark.md").read_text()
    assert f"share of `{MODEL}`, mIoU strict" in page
    stored = [line.split(" | ")[-1] for line in page.splitlines() if f"`{MODEL}:rgb`" in line]
    assert stored[0].startswith("5,3"), "numbers in the file"


def test_frames_are_spread_over_the_data_set(two: dict[str, Path], tmp_path: Path) -> None:
    run_benchmark(configured({"osd": two["osd"]}, frames=2), tmp_path / "out")
    for path in (tmp_path / "out" / "cells").iterdir():
        names = [row["name"] for row in json.loads(path.read_text())["images"]]
        assert names == ["learn1", "test0"]


def test_one_format_may_be_listed_with_several_splits(two: dict[str, Path], tmp_path: Path) -> None:
    place = {"dataset": "osd", "root": str(two["osd"])}
    roots = {"osd_learn": {**place, "split": "learn"}, "osd_test": {**place, "split": "test"}}
    cells = run_benchmark(configured(roots), tmp_path / "out")
    counts = [cells_of(cells, name)["automatic"].metrics["n"] for name in roots]
    assert counts == [2, 1]
    page = (tmp_path / "out" / "benchmark.md").read_text()
    assert "## osd_learn (osd), split learn" in page and page.count("UOIS-Net-3D* |") == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"roots": {"nope": {"root": "x"}}}, "nope: unknown data set 'nope'; there are: arc2017"),
        ({"roots": {"osd": {"root": "x", "split": "val"}}}, "osd: unknown split 'val'"),
        ({"roots": {"osd": {"root": "x", "options": {"camera": "d"}}}}, "osd: unknown option 'cam"),
        ({"roots": {}}, "needs data sets and methods"),
        ({"methods": [MODEL, MODEL]}, "named twice"),
        ({"frames": 0}, "frames must be at least 1"),
        ({"full": "base_v0"}, "full: not among the methods: 'base_v0'; there are: repsam_tiny"),
    ],
)
def test_bad_settings_are_named(more: dict[str, Any], message: str) -> None:
    content = {"roots": {"osd": {"root": "x"}}, "methods": [MODEL], **more}
    with pytest.raises(ConfigError, match=message):
        build_config(BenchmarkConfig, content, "test")


def test_a_missing_model_shows_before_anything_is_measured(
    two: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises((CheckpointError, ConfigError), match=r"none\.safetensors"):
        run_benchmark(configured(two, methods=[MODEL, "none.safetensors"]), tmp_path / "out")
    assert not (tmp_path / "out" / "cells").exists()


def test_roots_file(tmp_path: Path) -> None:
    path = tmp_path / "roots.yaml"
    path.write_text("osd: data/osd\ngraspnet: {root: /abs, options: {camera: kinect}}\n")
    rest = {"dataset": None, "split": None}
    assert read_roots(path) == {
        "osd": {"root": str(tmp_path / "data" / "osd"), **rest, "options": {}},
        "graspnet": {"root": "/abs", **rest, "options": {"camera": "kinect"}},
    }
    for content, message in (
        ("osd: 3", "osd: expected a folder or a mapping"),
        ("osd: {rot: x}", "unknown key rot"),
        ("- osd", "expected a mapping"),
    ):
        path.write_text(content)
        with pytest.raises(ConfigError, match=message):
            read_roots(path)


def test_the_example_is_valid() -> None:
    path = Path(__file__).parents[3] / "config" / "benchmark" / "roots.yaml"
    content = {"roots": read_roots(path), "methods": [MODEL]}
    config = build_config(BenchmarkConfig, content, str(path))
    assert config.format_of("graspnet_novel") == "graspnet"


def test_real_frames(shared_data: Path, tmp_path: Path) -> None:
    """A point on an object is worth more than nothing, and a tight box more than a loose one."""
    roots = {"mosd": shared_data / "mosd_learn"}
    cells = cells_of(run_benchmark(configured(roots, frames=4), tmp_path / "out"), "mosd")
    assert cells["automatic"].metrics["mean"]["overlap_f"] > 60
    point, box, jittered = (cells[name].metrics["mean"]["prompted_miou"] for name in PROMPTED)
    assert point > 50 and box > 75 and box > jittered
