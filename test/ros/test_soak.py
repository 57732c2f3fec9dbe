"""A shortened soak: both nodes, real traffic, everything accounted for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from repsam_ros.cli.main import main
from repsam_ros.images import read_color
from repsam_ros.ros import soak

pytestmark = pytest.mark.ros


def test_a_short_soak_loses_nothing_and_writes_its_record(
    small_bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["soak", str(small_bag), "--out", str(tmp_path), "--minutes", "0.1", "--rate", "5"]
    assert main(arguments) == 0, capsys.readouterr().out
    record = json.loads((tmp_path / "soak.json").read_text())
    assert record["frames_sent"] == 30
    assert not any(record["unaccounted"].values()) and record["problems"] == []
    assert not any(record["lost_on_the_way"].values())
    perception = record["perception"]
    assert perception["received"] == {"color": 30, "depth": 30, "camera_info": 30}
    assert perception["published"] + sum(perception["dropped"].values()) == 30
    assert record["results_received"]["labels"] == perception["published"] > 0
    assert record["usage"]["perception node"]["memory_last_mb"] > 50
    assert record["overhead_p50_ms"] < record["end_to_end_ms"]["p50"]
    assert read_color(tmp_path / "memory.png").ndim == 3


def test_a_node_that_dies_is_a_problem_of_the_record(
    small_bag: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deadly(soak.UsageRecorder):
        """Kills the first process when it is first asked whether a sample is due."""

        @property
        def is_due(self) -> bool:
            import signal

            child = self._children[0]
            if child.exit_code is None:
                child.send(signal.SIGKILL)
                child.wait(60)
            return True

    monkeypatch.setattr(soak, "UsageRecorder", Deadly)
    settings = soak.SoakSettings(minutes=1.0, rate_hz=5.0)
    record: dict[str, Any] = soak.run_soak(small_bag, tmp_path, settings)
    assert record["frames_sent"] < 300
    assert ["perception node ended with -9" in problem for problem in record["problems"]] == [True]
