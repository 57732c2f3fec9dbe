"""``repsam ledger`` as a user calls it."""

from __future__ import annotations

import json

import pytest

from repsam_ros.cli.main import main


def test_json_has_the_fields_that_scripts_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", "--model", "vit_tiny", "--method", "repsam", "--json"]) == 0
    ledger = json.loads(capsys.readouterr().out)
    assert {"encoder_params", "total_params", "trainable_total", "groups"} <= ledger.keys()
    assert ledger["trainable_total"] == sum(ledger["groups"].values()) == 457882
    assert ledger["groups"]["adapters"] == 36864


def test_the_table_and_options_of_the_method(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["ledger", "--model", "vit_tiny", "--method", "lora"]
    assert main([*arguments, "--set", "rank=2", "--set", "parts=[]"]) == 0
    assert f"{2 * 8 * 1152:,}" in capsys.readouterr().out


def test_an_unknown_method_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", "--model", "vit_tiny", "--method", "best"]) == 2
    error = capsys.readouterr().err
    assert "repsam" in error and error.count("\n") == 1
