"""``repsam bench`` on a folder of pictures, with PyTorch alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from repsam_ros.backends import BackendConfig, open_backend  # noqa: E402
from repsam_ros.backends._graph_folder import model_sha256  # noqa: E402
from repsam_ros.cli.main import main  # noqa: E402
from repsam_ros.errors import CheckpointError, ConfigError  # noqa: E402
from repsam_ros.evaluation.latency.config import BenchConfig  # noqa: E402
from repsam_ros.evaluation.latency.crowded_table import crowded_table  # noqa: E402
from repsam_ros.evaluation.latency.networks import network_of, open_any  # noqa: E402
from repsam_ros.evaluation.latency.stages import FRAME, SEGMENTATION, STAGES, TimedPipeline  # noqa: E402
from repsam_ros.images import write_png  # noqa: E402
from repsam_ros.perception.pipeline import PipelineSettings  # noqa: E402


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    frame, instances = crowded_table(160, 120, 2, 2)
    for name in ("first", "second"):
        write_png(tmp_path / "rgb" / f"{name}.png", frame.color)
        write_png(tmp_path / "depth" / f"{name}.png", (1000 * frame.depth_m).astype(np.uint16))
        write_png(tmp_path / "label" / f"{name}.png", instances.labels * 10 + 10)
    return tmp_path


def test_the_verb_writes_json_table_and_picture(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    settings = ["threads=1", "generator_frames=0", "warm_up=1", "rates_hz=[20]"]
    overrides = [part for each in settings for part in ("--set", each)]
    arguments = ["--input", str(pictures), "--backends", "torch,torch:bf16", "--frames", "2"]
    overrides += ["--set", "rate_seconds=0.2"]
    assert main(["bench", *arguments, *overrides, "--out", str(out)]) == 0
    result = json.loads((out / "bench.json").read_text())
    assert result["frames"] == {"width": 160, "height": 120, "different": 2}
    assert result["command"]["threads"] == 1 and result["machine"]["usable_cores"] >= 1
    assert list(result["backends"]) == ["torch", "torch:bf16"]
    for name, entry in result["backends"].items():
        times = entry["times_ms"]
        assert set(times) == {*STAGES, FRAME, SEGMENTATION}
        assert times[FRAME]["median"] > times[SEGMENTATION]["median"]
        assert times[FRAME]["median"] > times["encoder"]["median"] > 0
        assert 0 < entry["share_outside_network"]["median"] < 1
        assert entry["speed_up"]["encoder_to_segment_anything"]["rounds"] == 2
        assert "frame_to_mask_generator" not in entry["speed_up"]
        assert entry["info"]["precision"] == ("bf16" if name.endswith("bf16") else "fp32")
        (run,) = entry["fixed_rate"]
        assert (run["rate_hz"], run["sent"]) == (20.0, 4)
        memory = entry["memory_mb"]
        assert memory is None or memory["peak"] >= memory["loaded"] > 50
    assert result["backends"]["torch"]["speed_up"]["frame_to_reference"]["median"] == 1
    assert result["masks"]["frames"] == 2
    for scores in result["masks"]["scores"].values():
        assert set(scores) == {"overlap_f", "boundary_f", "pct75", "strict_miou"}
        assert 0.3 < scores["strict_miou"] <= 1
    assert (out / "config.yaml").is_file()
    assert (out / "stages.svg").read_text().startswith("<svg")
    table = (out / "bench.md").read_text()
    assert table in capsys.readouterr().out
    for head in ("Stages", "Speed", "Masks", "Camera at a fixed rate", "Clouds"):
        assert f"## {head}\n" in table


def test_stages_add_up_to_the_frame_also_where_nothing_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = open_backend(BackendConfig(threads=1))
    frame, _ = crowded_table(160, 120, 2, 2)
    times = TimedPipeline(backend, PipelineSettings()).perceive(frame)
    assert sum(times[stage] for stage in STAGES) == pytest.approx(times[FRAME])
    assert min(times[stage] for stage in STAGES) > 0
    blind = TimedPipeline(backend, PipelineSettings(min_prompt_score=1.0))
    monkeypatch.setattr(backend, "decode", lambda *_: pytest.fail("nothing was prompted"))
    times = blind.perceive(frame)
    assert times["decoder"] == times["masks"] == 0
    assert sum(times[stage] for stage in STAGES) == pytest.approx(times[FRAME])


def write_manifest(folder: Path, sha256: str) -> None:
    command = {"model": "repsam_tiny", "backbone": None, "seed": 0, "precisions": ["fp32"]}
    model = {"name": "repsam_tiny", "sha256": sha256, "canvas_px": [240, 320]}
    content = {"format": 1, "model": model, "graphs": {}, "state": [], "command": command}
    (folder / "manifest.json").write_text(json.dumps(content))


def test_pytorch_takes_the_network_that_graphs_were_exported_from(tmp_path: Path) -> None:
    write_manifest(tmp_path, model_sha256("repsam_tiny"))
    backend = open_any(BackendConfig(model=str(tmp_path), threads=1))
    assert backend.info().model == "repsam_tiny" and backend.canvas_px == (240, 320)
    write_manifest(tmp_path, "0" * 64)
    with pytest.raises(CheckpointError, match="other weights"):
        network_of(str(tmp_path))


def test_a_model_that_is_not_there_is_named(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", "nothing", "--input", str(pictures), "--out", str(tmp_path / "out")]
    assert main(["bench", *arguments]) == 2
    assert "nothing: no such file" in capsys.readouterr().err
    assert not (tmp_path / "out" / "bench.json").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"backends": ("torch", "nvidia")}, "unknown backend 'nvidia'; there are"),
        ({"backends": ("torch:int4",)}, "int4 is no precision"),
        ({"backends": ("openvino:compile",)}, "compile is no precision"),
        ({"backends": ("torch", "torch")}, "twice"),
        ({"size": "640"}, "WIDTHxHEIGHT"),
        ({"frames": 0}, "at least 1"),
        ({"rates_hz": (0.0,)}, "positive"),
    ],
)
def test_what_makes_no_sense_is_refused(content: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BenchConfig(**content)


def test_variants_of_backends() -> None:
    config = BenchConfig(backends=("torch:compile", "openvino:bf16"), threads=2)
    compiled, reduced = (config.backend(name) for name in config.backends)
    assert compiled == BackendConfig(threads=2, compile=True)
    assert reduced == BackendConfig("openvino", precision="bf16", threads=2)
