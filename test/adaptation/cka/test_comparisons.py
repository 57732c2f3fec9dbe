"""The three comparisons, end to end on real networks, simulated scenes and files on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from repsam_ros.adaptation.cka.comparisons import compare
from repsam_ros.adaptation.cka.configuration import CkaConfig
from repsam_ros.adaptation.cka.pictures import open_pictures
from repsam_ros.adaptation.cka.plot import layer_plot
from repsam_ros.adaptation.cka.report import CkaReport, read_cka_report, write_cka_report
from repsam_ros.cli.main import main
from repsam_ros.config import build_config
from repsam_ros.errors import CheckpointError, ConfigError, DatasetError
from repsam_ros.images import write_png
from repsam_ros.network.build import NetworkConfig, build_network
from repsam_ros.network.weights import save_weights

SCENES = 16
FAST = {"scenes": SCENES, "batch": 16, "tokens": 3, "resamples": 50, "workers": 0}
STREAM = {"source_stream": {"seed": 5}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks that differ in block 3 alone."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    network = build_network(NetworkConfig())
    save_weights(folder / "base.safetensors", network.state_dict(), NetworkConfig(), {})
    with torch.no_grad():
        network.image_encoder.blocks[3].mlp.lin2.weight.normal_()
    save_weights(folder / "tuned.safetensors", network.state_dict(), NetworkConfig(), {})
    return folder


def run(folder: Path, **content: object) -> CkaReport:
    content = {"model": str(folder / "base.safetensors"), **FAST, **content}
    return compare(build_config(CkaConfig, content, "test"), torch.device("cpu"))


def test_paired_twins_of_simulated_scenes(folder: Path) -> None:
    report = run(folder, comparison="paired", factors=["source", "opaque"])
    assert report.rows == report.factors["source"]
    for rows, n in (("image_mean", SCENES), ("tokens", 3 * SCENES)):
        assert report.rows[rows].n == n and report.rows[rows].scenes == SCENES
        # Few of these scenes hold glass, the others are their own opaque twins.
        assert min(report.factors["opaque"][rows].cka) > 0.9
        assert max(report.factors["source"][rows].cka) < min(report.factors["opaque"][rows].cka)
        np.testing.assert_allclose(report.controls["identical"][rows], 1, atol=1e-9)
        assert max(np.abs(report.controls["permuted_rows"][rows])) < 0.6
    assert report.values("tokens").shape == (8,)


def test_fine_tuning_shows_from_its_block_on(folder: Path) -> None:
    tuned = str(folder / "tuned.safetensors")
    report = run(folder, comparison="finetuned", finetuned_model=tuned, target=STREAM)
    for rows in ("image_mean", "tokens"):
        np.testing.assert_allclose(report.values(rows)[:3], 1, atol=1e-9)
        assert max(report.values(rows)[3:]) < 0.999
    assert report.finetuned_sha256 not in (None, report.model_sha256)


def test_covariance_of_a_data_set_and_the_source_stream(folder: Path, tmp_path: Path) -> None:
    write_mosd(tmp_path, SCENES)
    target = {"dataset": {"name": "mosd", "root": str(tmp_path)}}
    report = run(folder, comparison="covariance", source=STREAM, target=target)
    assert report.measure == "feature-covariance alignment"
    assert np.all(report.values() < 1) and report.factors == {}
    with pytest.raises(ConfigError, match="12 scenes; at least 16"):
        write_mosd(tmp_path / "few", 12)
        few = {"dataset": {"name": "mosd", "root": str(tmp_path / "few")}}
        run(folder, comparison="covariance", source=STREAM, target=few)


def write_mosd(root: Path, count: int) -> None:
    rng = np.random.default_rng(1)
    for k in range(count):
        shade = rng.integers(0, 255, (6, 8, 3))
        color = np.kron(shade, np.ones((20, 20, 1))).astype(np.uint8)
        write_png(root / "rgb" / f"{k}.png", color)
        write_png(root / "depth" / f"{k}.png", np.full((120, 160), 900, np.uint16))
        write_png(root / "label" / f"{k}.png", np.full((120, 160), 20, np.uint16))


def test_workers_change_nothing(folder: Path) -> None:
    alone, helped = (
        run(folder, comparison="covariance", source=STREAM, target=STREAM, workers=workers)
        for workers in (0, 1)
    )
    assert alone.rows == helped.rows


def test_twins_are_made_of_the_same_view() -> None:
    config = build_config(CkaConfig, {"comparison": "paired", "model": ""}, "test")
    pictures = open_pictures(config.target, (240, 320), 20, 0, ("source", "sensor"))
    robot, source, clean = pictures(3)["color"].float()
    assert torch.equal(pictures(3)["color"], pictures(23)["color"])
    assert (robot - clean).abs().mean() < (robot - source).abs().mean()
    assert not torch.equal(pictures(3)["color"], pictures(4)["color"])
    square = open_pictures(config.target, (320, 320), 20, 0)(3)
    assert square["inner_px"].tolist() == [[240, 320]]
    assert not square["color"][0, 240:].any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"comparison": "cosine"}, "unknown comparison 'cosine'"),
        ({"comparison": "paired", "source": STREAM}, "source belongs to comparison covariance"),
        ({"comparison": "covariance"}, "source belongs to comparison covariance"),
        ({"comparison": "finetuned"}, "finetuned_model belongs to comparison finetuned"),
        ({"comparison": "paired", "target": STREAM}, "only simulated pictures have twins"),
        ({"comparison": "paired", "factors": ["light"]}, "must include 'source'"),
        ({"comparison": "paired", "factors": ["source", "fog"]}, "unknown factor 'fog'"),
        ({"comparison": "paired", "scenes": 15}, "at least 16"),
        ({"comparison": "paired", "token": 4}, "unknown key token"),
    ],
)
def test_a_wrong_configuration_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_config(CkaConfig, {"model": "base", **changes}, "test")


def test_the_verb_writes_report_plot_and_table(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import cv2
    import yaml

    config = tmp_path / "cka.yaml"
    content = {"comparison": "covariance", "model": str(folder / "base.safetensors")}
    config.write_text(yaml.safe_dump({**content, **FAST, "source": STREAM, "target": STREAM}))
    out = tmp_path / "out"
    assert (
        main(["cka", str(config), "--out", str(out), "--set", "target.source_stream.seed=6"]) == 0
    )
    report = read_cka_report(out / "cka.json")
    assert report.config["target"]["source_stream"]["seed"] == 6
    printed = capsys.readouterr().out
    assert f"{report.values()[0]:7.4f}" in printed and "identical" in printed
    plot = cv2.imread(str(out / "cka.png"))
    assert plot.shape[1] > 1000 and len(np.unique(plot.reshape(-1, 3), axis=0)) > 10
    assert np.array_equal(layer_plot(report)[..., ::-1], plot)
    assert main(["cka", str(config), "--out", str(out), "--set", "comparision=paired"]) == 2
    assert main(["cka", str(config), "--out", str(out), "--set", "model=nothing.pt"]) == 2


def test_a_report_is_read_as_it_was_written(folder: Path, tmp_path: Path) -> None:
    report = run(folder, comparison="covariance", source=STREAM, target=STREAM)
    path = tmp_path / "cka.json"
    write_cka_report(path, report)
    assert read_cka_report(path) == report
    path.write_text("[]")
    with pytest.raises(DatasetError, match="not a CKA report"):
        read_cka_report(path)
    path.write_text("{")
    with pytest.raises(DatasetError, match="not JSON"):
        read_cka_report(path)
    with pytest.raises(DatasetError, match="No such file"):
        read_cka_report(tmp_path / "none.json")


def test_official_checkpoints_need_their_backbone(folder: Path, tmp_path: Path) -> None:
    """SAM's own parts suffice for CKA, but such a file does not say which SAM it is."""
    network = build_network(NetworkConfig())
    groups = ("image_encoder.", "prompt_encoder.", "mask_decoder.")
    path = tmp_path / "sam.pth"
    torch.save({k: v for k, v in network.state_dict().items() if k.startswith(groups)}, path)
    content = {"comparison": "finetuned", "target": STREAM, "model": str(path)}
    with pytest.raises(CheckpointError, match="holds no prompt head"):
        run(folder, finetuned_model=str(path), **content)
    report = run(folder, finetuned_model=str(path), backbone="vit_tiny", **content)
    np.testing.assert_allclose(report.values(), 1, atol=1e-9)
