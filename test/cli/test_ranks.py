"""``repsam ranks`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from repsam_ros.adaptation.cka.report import CkaReport, LayerValues, write_cka_report
from repsam_ros.cli.main import main
from repsam_ros.images import read_color
from repsam_ros.methods import Training, open_method
from repsam_ros.network.build import NetworkConfig, build_network
from repsam_ros.network.ranks import read_allocation
from repsam_ros.paths import file_sha256, share_dir

SHIPPED = share_dir() / "config" / "ranks"
COST = 1152  # of one rank on qkv and proj of a block that is 192 wide


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A CKA report of 8 blocks whose two row definitions disagree."""

    def layers(cka: np.ndarray) -> LayerValues:
        return LayerValues(cka.tolist(), [[0.0, 1.0]] * 8, [0.01] * 8, 500, 500)

    rising = np.linspace(0.2, 0.9, 8)
    path = tmp_path / "cka.json"
    write_cka_report(
        path,
        CkaReport(
            comparison="paired",
            measure="debiased linear CKA",
            p_of="no relation",
            rows={"image_mean": layers(rising), "tokens": layers(rising[::-1])},
            factors={},
            controls={},
            expected={},
            model="any",
            model_sha256="0" * 64,
            config={},
            seconds={},
        ),
    )
    return path


def ranks(out: Path, config: str, *settings: str) -> int:
    overrides = [argument for setting in settings for argument in ("--set", setting)]
    return main(["ranks", str(SHIPPED / f"{config}.yaml"), "--out", str(out), *overrides])


def test_ranks_follow_the_report(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert ranks(out, "vit_tiny", f"cka_report={report}") == 0
    found = read_allocation(out / "ranks.json")
    assert found.costs == (COST,) * 8 and sum(found.ranks) == 32
    assert list(found.ranks) == sorted(found.ranks, reverse=True) != [4] * 8
    assert found.cka_report_sha256 == file_sha256(report)
    content = json.loads((out / "ranks.json").read_text())
    assert content["config"]["ranks"]["policy"] == "cka" and content["version"]
    assert read_color(out / "ranks.png").std() > 10
    assert "36,864" in capsys.readouterr().out
    assert ranks(tmp_path / "tokens", "vit_tiny", f"cka_report={report}", "rows=tokens") == 0
    assert read_allocation(tmp_path / "tokens" / "ranks.json").ranks == found.ranks[::-1]


def test_a_report_of_another_network_is_named(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ranks(tmp_path / "out", "vit_h", f"cka_report={report}") == 2
    error = capsys.readouterr().err
    assert f"{report}: CKA of 8 blocks of any; vit_h has 32" in error


@pytest.mark.parametrize("variant", ["lora", "dora"])
def test_what_it_says_is_what_the_method_trains(tmp_path: Path, variant: str) -> None:
    """Parts and DoRA's vectors included, to the last parameter."""
    settings = ("ranks.policy=uniform", "ranks.budget=500000", "ranks.r_min=1", "parts=[fusion]")
    assert ranks(tmp_path, "vit_tiny", f"variant={variant}", *settings) == 0
    allocation = read_allocation(tmp_path / "ranks.json")
    method = "repsam" if variant == "lora" else "dora"
    options = {"ranks": allocation.ranks} if variant == "lora" else {"rank": allocation.ranks[0]}
    network = build_network(NetworkConfig())
    open_method(method, {**options, "parts": ("fusion",)}).prepare(network, Training())
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    extra = sum(rank - allocation.ranks[0] for rank in allocation.ranks) * COST
    assert trained + (extra if variant == "dora" else 0) == allocation.used <= 500000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((), "cka_report"),
        (("ranks.policy=best",), "early"),
        (("ranks.policy=uniform", "ranks.r_min=5"), "too small"),
        (("ranks.policy=uniform", "parts=[encoder]"), "fusion"),
        (("ranks.policy=uniform", "modules=[qkv, qkv]"), "twice"),
        (("ranks.policy=uniform", "variant=dora"), "r_min"),
        (("ranks.policy=gradient", "gradient_norms=[1.0]"), "expected 8"),
        (("rows=all",), "image_mean"),
        (("ranks.gama=2",), "gama"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: tuple[str, ...], message: str
) -> None:
    assert ranks(tmp_path / "out", "vit_tiny", *settings) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
