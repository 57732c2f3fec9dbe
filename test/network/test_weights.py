"""Weights: verified, safe, and every way in which they can be wrong is named."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import torch

from repsam_ros.cli.main import load_verb, verb_parser
from repsam_ros.config import read_yaml
from repsam_ros.errors import CheckpointError, ConfigError
from repsam_ros.network.build import NetworkConfig, RepSam, build_network
from repsam_ros.network.sam import BACKBONES, SAM_GROUPS
from repsam_ros.network.weights import (
    file_sha256,
    find_model,
    load_network,
    load_weights,
    save_weights,
)
from repsam_ros.paths import share_dir


@pytest.fixture(scope="module")
def network() -> RepSam:
    torch.manual_seed(3)
    return build_network(NetworkConfig())


@pytest.fixture
def weights(network: RepSam, tmp_path: Path) -> Path:
    path = tmp_path / "some.safetensors"
    save_weights(path, network.state_dict(), NetworkConfig(), {"step": 7})
    return path


def test_round_trip_keeps_half_precision(network: RepSam, weights: Path) -> None:
    loaded, model = load_network(str(weights))
    assert model.sha256 == file_sha256(weights)
    for name, value in network.state_dict().items():
        expected = value.half().to(value.dtype) if value.is_floating_point() else value
        assert torch.equal(loaded.state_dict()[name], expected), name


def test_the_manifest_names_the_default_and_the_official_checkpoints() -> None:
    manifest = read_yaml(share_dir() / "models" / "manifest.yaml")
    assert find_model(manifest["default"]).path.is_file()
    official = {name: entry for name, entry in manifest["models"].items() if "url" in entry}
    assert set(official) == {"sam_vit_b", "sam_vit_l", "sam_vit_h"}
    for name, entry in official.items():
        assert name.removeprefix("sam_") in BACKBONES
        assert entry["url"].endswith(entry["file"])
        assert len(entry["sha256"]) == 64


def test_a_missing_official_checkpoint_says_where_to_fetch_it() -> None:
    with pytest.raises(CheckpointError, match="https://dl.fbaipublicfiles.com"):
        find_model("sam_vit_h")


def test_a_folder_of_graphs_asks_for_a_backend_that_runs_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="backend that runs graphs"):
        find_model(str(tmp_path))


def test_an_unknown_name_lists_what_exists() -> None:
    with pytest.raises(ConfigError, match="repsam_tiny"):
        find_model("repsam_enormous")


def test_a_changed_file_fails_its_hash(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    copy = tmp_path / "models" / "some.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    manifest = tmp_path / "models" / "manifest.yaml"
    manifest.write_text(
        f"default: some\nmodels: {{some: {{file: {copy.name}, sha256: {file_sha256(weights)}}}}}\n"
    )
    monkeypatch.setattr("repsam_ros.model_files.share_dir", lambda: tmp_path)
    with pytest.raises(CheckpointError, match="the manifest says"):
        find_model("some")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_corrupt_file_is_named(weights: Path, tmp_path: Path, suffix: str) -> None:
    broken = tmp_path / f"broken{suffix}"
    broken.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="broken"):
        load_network(str(broken))


def test_pickled_code_is_never_run(network: RepSam, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, ("raise SystemExit('code was run')",)

    path = tmp_path / "trap.pth"
    torch.save({"weights": Trap()}, path)
    with pytest.raises(CheckpointError, match=r"trap\.pth"):
        load_weights(network, str(path))


def test_wrong_shapes_and_names_are_named(network: RepSam, tmp_path: Path) -> None:
    state = dict(network.state_dict())
    path = tmp_path / "wrong.safetensors"
    state["mask_decoder.iou_token.weight"] = torch.zeros(2, 128)
    save_weights(path, state, NetworkConfig(), {})
    with pytest.raises(CheckpointError, match=r"iou_token\.weight has shape \(2, 128\)"):
        load_network(str(path))
    del state["mask_decoder.iou_token.weight"]
    save_weights(path, state, NetworkConfig(), {})
    with pytest.raises(CheckpointError, match="lacks 1 tensors"):
        load_network(str(path))


def test_a_sam_checkpoint_fills_what_sam_has(network: RepSam, tmp_path: Path) -> None:
    torch.manual_seed(4)
    other = build_network(NetworkConfig())
    state = {k: v for k, v in other.state_dict().items() if k.startswith(SAM_GROUPS)}
    path = tmp_path / "sam.pth"
    torch.save(state, path)
    target = build_network(NetworkConfig())
    before = target.prompt_head.output.weight.clone()
    load_weights(target, str(path))
    assert all(torch.equal(target.state_dict()[name], value) for name, value in state.items())
    assert torch.equal(target.prompt_head.output.weight, before)
    with pytest.raises(CheckpointError, match="no prompt head") as error:
        load_network(str(path))
    command = shlex.split(str(error.value).partition("repsam train ")[2])
    args = verb_parser("train", load_verb("train")).parse_args(command)
    assert args.overrides == [f"start_from={path}", "network.backbone=NAME"]
