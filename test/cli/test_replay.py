from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from repsam_ros.bags import write_bag
from repsam_ros.cli.main import main
from repsam_ros.datasets import open_dataset
from repsam_ros.images import read_labels
from repsam_ros.structures import Intrinsics, RgbdFrame


@pytest.fixture(scope="module")
def untrained_model(tmp_path_factory):
    """Weights of the embedded network before any training: real code, meaningless masks."""
    torch = pytest.importorskip("torch")
    from repsam_ros.network.build import NetworkConfig, build_network
    from repsam_ros.network.weights import save_weights

    torch.manual_seed(0)
    network = build_network(NetworkConfig())
    with torch.no_grad():  # without this an untrained network trusts none of its masks
        network.mask_decoder.iou_prediction_head.layers[-1].bias.fill_(0.5)
    path = tmp_path_factory.mktemp("models") / "untrained.safetensors"
    save_weights(path, network.state_dict(), NetworkConfig(), {})
    return path


@pytest.fixture
def bag(tmp_path):
    rng = np.random.default_rng(0)
    camera = Intrinsics(60.0, 60.0, 31.5, 23.5, 64, 48)
    samples = []
    for name, distance_m in (("near", 0.6), ("empty", 0.0), ("far", 1.2)):
        color = rng.integers(0, 256, (48, 64, 3), np.uint8)
        depth_m = np.full((48, 64), distance_m, np.float32)
        samples.append(SimpleNamespace(name=name, frame=RgbdFrame(color, depth_m, camera)))
    write_bag(tmp_path / "bag", samples)
    return tmp_path / "bag"


def replay(bag, out, model):
    # Every maximum and mask is taken, so that an untrained network gives instances.
    masks = "pipeline.masks={min_score: 0, stability_offset: 0}"
    sets = ["--set", "pipeline.min_prompt_score=0", "--set", masks]
    return main(["replay", str(bag), "--out", str(out), "--model", str(model), *sets])


def test_replay_accounts_for_every_frame(bag, tmp_path, untrained_model, capsys):
    assert replay(bag, tmp_path / "out", untrained_model) == 0
    assert "empty_depth 1" in capsys.readouterr().out
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["received"] == {"color": 3, "depth": 3}
    assert [frame["name"] for frame in summary["frames"]] == ["near", "far"]
    assert summary["dropped"] == {"empty_depth": 1}
    assert summary["backend"]["model"] == "untrained.safetensors"
    config = (tmp_path / "out/config.yaml").read_text()
    assert "min_prompt_score: 0" in config
    assert str(bag) in config


def test_replay_of_a_bag_gives_the_label_maps_of_the_files(shared_data, tmp_path, untrained_model):
    from repsam_ros.perception.masks import MaskSettings
    from repsam_ros.perception.pipeline import PipelineSettings, open_pipeline

    dataset = open_dataset("mosd", shared_data / "mosd_learn")
    samples = [dataset[index] for index in (0, 20)]
    write_bag(tmp_path / "bag", samples)
    assert replay(tmp_path / "bag", tmp_path / "out", untrained_model) == 0
    settings = PipelineSettings(
        min_prompt_score=0, masks=MaskSettings(min_score=0, stability_offset=0)
    )
    pipeline = open_pipeline(str(untrained_model), settings=settings)
    maps = sorted((tmp_path / "out/labels").iterdir())
    for path, sample in zip(maps, samples, strict=True):
        labels = pipeline.segment(sample.frame).labels
        assert labels.any()
        np.testing.assert_array_equal(read_labels(path), labels)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "no such bag"),
        (["--set", "pipeline.no_such_key=1"], "no_such_key"),
        (["--set", "slop_s=2"], "slop_s"),
        (["--ros"], "no such bag"),
        (["--rate-factor", "2"], "--rate-factor"),
        (["--ros", "--set", "frame_step=0"], "frame_step must be from 1"),
        (["--ros", "--depth-scale-m", "-1"], "depth_scale_m"),
        (["--params", "absent.yaml"], "absent.yaml"),
        (["--namespace", "arm"], "--namespace: only with --params"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys, arguments, named):
    out = tmp_path / "out"
    assert main(["replay", str(tmp_path / "absent"), "--out", str(out), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert named in error
    assert not out.exists()


def test_a_missing_model_leaves_no_results(bag, tmp_path, capsys):
    out = tmp_path / "out"
    assert replay(bag, out, Path("no_such_model")) == 2
    assert "no_such_model" in capsys.readouterr().err
    assert not out.exists()


def test_parameters_of_the_node_configure_a_replay_and_options_win(
    bag, tmp_path, untrained_model, capsys
):
    file = tmp_path / "robot.yaml"
    file.write_text(
        "/arm/perception:\n  ros__parameters:\n"
        f"    model: {untrained_model}\n    min_prompt_score: 0.0\n    frame_step: 2\n"
        "    region: {x: 8, y: 4, width: 40, height: 36}\n    slop_s: 0.1\n"
        "    masks: {min_score: 0.0, stability_offset: 0.0}\n    target_frame: base\n"
    )
    out = tmp_path / "out"
    arguments = ["replay", str(bag), "--out", str(out), "--params", str(file)]
    assert main(arguments) == 2
    assert "nothing for /repsam/perception; there is: /arm/perception" in capsys.readouterr().err
    arguments += ["--namespace", "arm", "--set", "slop_s=0.02", "--device", "cpu"]
    assert main(arguments) == 0
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert (config["slop_s"], config["frame_step"]) == (0.02, 2)
    assert config["pipeline"]["region"] == {"x": 8, "y": 4, "width": 40, "height": 36}
    summary = json.loads((out / "summary.json").read_text())
    assert summary["dropped"] == {"skipped": 1}
    assert [frame["name"] for frame in summary["frames"]] == ["near", "far"]
    for path in (out / "labels").iterdir():
        labels = read_labels(path)
        assert labels.any()
        labels[4:40, 8:48] = 0
        assert not labels.any()
