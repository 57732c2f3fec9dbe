"""The trainer with adaptation methods: on a base, with state, in parts, with validation."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from repsam_ros.adaptation.distributed import Team
from repsam_ros.adaptation.fixed_batches import FixedLosses
from repsam_ros.adaptation.training import Trainer, train
from repsam_ros.adaptation.training_config import TrainConfig
from repsam_ros.backends import BackendConfig, open_backend
from repsam_ros.config import load_config
from repsam_ros.errors import CheckpointError, ConfigError
from repsam_ros.methods import load_method, load_model
from repsam_ros.network import sam
from repsam_ros.network.adapter_files import read_adapter
from repsam_ros.network.build import NetworkConfig, build_network
from repsam_ros.network.weights import load_network, load_weights, save_weights
from repsam_ros.paths import share_dir

CONFIG = share_dir() / "config" / "experiments" / "smoke.yaml"
SMALL = sam.BackboneSpec((48, 64), 32, 3, 2, (1, 2), 0, False, 16, 32, 0, 16)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums of one thread are the same in every run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sam.BACKBONES, "small", SMALL)
        yield


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    torch.manual_seed(3)
    config = NetworkConfig("small")
    save_weights(path, build_network(config).state_dict(), config, {})
    return path


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pool")


def smoke(base: Path, pool: Path, method: str, options: dict[str, Any], *more: str) -> TrainConfig:
    changes = [f"data.pool.folder={pool}", f"start_from={base}", f"method={method}"]
    changes += ["network.backbone=small", "steps=6", "learning_rate=0.01", *more]
    return replace(load_config(TrainConfig, CONFIG, changes), options=options)


def rows(run: Path) -> list[dict[str, Any]]:
    kept = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "waiting")} for row in kept]


OPTIONS: dict[str, dict[str, Any]] = {
    "repsam": {"ranks": [2, 0, 3]},
    "adalora": {"rank": 2, "start_rank": 3, "every": 1},
    "eva": {"rank": 2, "tau": 0.5},
    "gradient": {"rank": 2},
    "galore": {"rank": 2, "update_every": 2},
    "dual_stream": {},
}


@pytest.mark.parametrize("method", OPTIONS)
def test_a_stopped_and_resumed_run_equals_an_unbroken_one(
    method: str, base: Path, pool: Path, tmp_path: Path
) -> None:
    config = smoke(base, pool, method, OPTIONS[method])
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    first = train(config, whole, "cpu", False, float("inf"))
    train(config, broken, "cpu", False, max_seconds=0)
    assert len(rows(broken)) == 1
    second = train(config, broken, "cpu", True, float("inf"))
    assert rows(whole) == rows(broken)
    a, b = load_file(first), load_file(second)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_saved_adapter_gives_the_trained_network(
    base: Path, pool: Path, tmp_path: Path
) -> None:
    config = smoke(base, pool, "repsam", {"ranks": [2, 0, 3]})
    trainer = Trainer(config, tmp_path, torch.device("cpu"))
    trainer.run()
    record, tensors = read_adapter(tmp_path / "adapter.safetensors")
    assert record.method == "repsam" and record.seed == config.seed
    assert record.config["ranks"] == [2, 0, 3]
    assert not any(name.startswith("mask_decoder") for name in tensors)
    network = build_network(NetworkConfig("small"))
    model = load_weights(network, str(base))
    load_method(tmp_path / "adapter.safetensors", network, model.sha256)
    for name, value in trainer.average.items():
        assert torch.equal(network.state_dict()[name], value)


@pytest.mark.parametrize("method", ["repsam", "dual_stream"])
def test_an_adapter_runs_like_any_model(
    method: str, base: Path, pool: Path, tmp_path: Path
) -> None:
    """A merged one as its base would, one that cannot be merged as it was trained."""
    config = smoke(base, pool, method, OPTIONS[method])
    trainer = Trainer(config, tmp_path, torch.device("cpu"))
    trainer.run()
    with trainer.averaged():
        trainer.network.eval()
        draw = torch.Generator().manual_seed(0)
        color, depth = torch.rand((1, 3, 48, 64), generator=draw), torch.full((1, 48, 64), 0.8)
        inputs = (color * 255, depth, torch.tensor([[64.0, 64.0, 31.5, 23.5]]))
        expected = trainer.network.encode(*inputs).heatmap
    path = tmp_path / "adapter.safetensors"
    network, model = load_model(str(path))
    assert model.path == path and not network.training
    assert torch.allclose(network.encode(*inputs).heatmap, expected, atol=1e-4)
    backend = open_backend(BackendConfig("torch", str(path), "cpu", "fp32", 1))
    assert backend.canvas_px == SMALL.canvas_px and backend.info().model_sha256 == model.sha256


def test_an_adapter_and_its_base_can_be_moved_together(
    base: Path, pool: Path, tmp_path: Path
) -> None:
    trained = tmp_path / "trained"
    trained.mkdir()
    start = trained / "base.safetensors"
    start.write_bytes(base.read_bytes())
    train(smoke(start, pool, "lora", {"rank": 2}), trained, "cpu", False, max_seconds=0)
    expected = load_model(str(trained / "adapter.safetensors"))[0].state_dict()
    moved = trained.rename(tmp_path / "moved")
    found = load_model(str(moved / "adapter.safetensors"))[0].state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_an_adapter_without_its_base_names_it(base: Path, pool: Path, tmp_path: Path) -> None:
    moved = tmp_path / "base.safetensors"
    moved.write_bytes(base.read_bytes())
    train(smoke(moved, pool, "lora", {"rank": 2}), tmp_path, "cpu", False, max_seconds=0)
    moved.unlink()
    with pytest.raises(ConfigError, match=r"base\.safetensors"):
        load_model(str(tmp_path / "adapter.safetensors"))
    config = NetworkConfig("small")
    save_weights(moved, build_network(config).state_dict(), config, {})
    with pytest.raises(CheckpointError, match="was trained on"):
        load_model(str(tmp_path / "adapter.safetensors"))


def test_only_what_the_method_declares_is_trained(base: Path, pool: Path, tmp_path: Path) -> None:
    config = smoke(base, pool, "full_finetuning", {"parts": ["prompt_head"]})
    path = train(config, tmp_path, "cpu", False, float("inf"))
    before, after = load_file(base), load_file(path)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith("prompt_head.") for name in changed)
    network, _ = load_network(str(path))
    assert network.spec == SMALL


def test_parts_of_a_batch_add_up_to_its_gradients(base: Path, pool: Path, tmp_path: Path) -> None:
    """The foreground's loss is a mean over pixels, of which each part has as many."""
    changes = (
        "losses={focal: 0, dice: 0, quality: 0, heatmap: 0}",
        "depth_dropout=0",
        "color_dropout=0",
    )
    options = {"rank": 2, "parts": ()}  # norms would see other batches
    frames = ("batch_size=4", "data.pool.pictures=4", *changes)
    whole = smoke(base, pool, "lora", options, *frames)
    parted = replace(whole, accumulate=2)
    for config, name in ((whole, "whole"), (parted, "parted")):
        train(config, tmp_path / name, "cpu", False, float("inf"))
    for name in ("loss", "gradient_norm"):
        kept = [[row[name] for row in rows(tmp_path / run)] for run in ("whole", "parted")]
        assert kept[0] == pytest.approx(kept[1], rel=1e-3)


def test_checkpointing_changes_nothing_but_memory(base: Path, pool: Path, tmp_path: Path) -> None:
    config = smoke(base, pool, "lora", {"rank": 2})
    calls = []
    for checkpointing, name in ((False, "kept"), (True, "twice")):
        (tmp_path / name).mkdir()
        changed = replace(config, checkpointing=checkpointing)
        trainer = Trainer(changed, tmp_path / name, torch.device("cpu"))
        count = Counter[int]()
        for k, block in enumerate(trainer.network.image_encoder.blocks):
            block.register_forward_pre_hook(lambda *_, k=k, count=count: count.update([k]))
        trainer.run()
        calls.append(dict(count))
    assert rows(tmp_path / "kept") == rows(tmp_path / "twice")
    # Nothing before the first block is trained: it has nothing to keep.
    assert calls == [{0: 6, 1: 6, 2: 6}, {0: 6, 1: 12, 2: 12}]


def test_validation_keeps_the_best_weights(base: Path, pool: Path, tmp_path: Path) -> None:
    held = {"data": {"pool": {"folder": str(pool), "scene_count": 4, "scene_seed": 1}}}
    held["data"]["pool"] |= {"pictures": 4, "processes": 1}
    validation = {**held, "batches": 1, "every": 1}
    options = {"parts": ["prompt_head"]}
    changes = (f"validation={json.dumps(validation)}", "ema_decay=0", "warmup_steps=6")
    config = smoke(base, pool, "full_finetuning", options, *changes)
    # Steps that grow overshoot in the end: the best weights are not the last ones.
    config = replace(config, learning_rate=0.6)
    train(config, tmp_path, "cpu", False, float("inf"))
    losses = [row["validation_loss"] for row in rows(tmp_path)]
    assert len(losses) == 6 and min(losses) < losses[-1]
    assert config.validation is not None
    team, size = Team(torch.device("cpu")), SMALL.canvas_px
    (held_out,) = FixedLosses(config, config.validation.data, 1, size, tmp_path, team)
    network, _ = load_network(str(tmp_path / "best.safetensors"))
    with torch.no_grad():
        loss = float(held_out(network))
    assert loss == pytest.approx(min(losses), rel=2e-3)  # kept in half precision


def test_what_does_not_go_together_is_refused(base: Path, pool: Path, tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    lora = smoke(base, pool, "lora", {"rank": 2})
    with pytest.raises(ConfigError, match="zero_shot trains nothing"):
        Trainer(smoke(base, pool, "zero_shot", {}), tmp_path, cpu)
    with pytest.raises(ConfigError, match="lora adapts a base: say which with start_from"):
        Trainer(replace(lora, start_from=None), tmp_path, cpu)
    with pytest.raises(ConfigError, match="accumulate 3"):
        Trainer(replace(lora, accumulate=3), tmp_path, cpu)
    train(lora, tmp_path, "cpu", False, max_seconds=0)
    with pytest.raises(CheckpointError, match="another configuration"):
        Trainer(replace(lora, options={"rank": 3}), tmp_path, cpu, resume=True)
