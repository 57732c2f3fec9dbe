"""The files of ``config/operations`` start what there is to start."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from repsam_ros.cli.main import load_verb, verb_parser

OPERATIONS = Path(__file__).parents[1] / "config" / "operations"


def test_the_systemd_unit_runs_a_command_that_exists() -> None:
    text = (OPERATIONS / "repsam.service").read_text()
    found = re.search(r"^ExecStart=\S+/repsam (\w+) (.*)$", text, re.MULTILINE)
    assert found is not None
    args = verb_parser(found[1], load_verb(found[1])).parse_args(shlex.split(found[2]))
    assert (args.namespace, args.camera) == ("repsam", "camera/camera")


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    text = (OPERATIONS / "repsam.service").read_text()
    unit = tmp_path / "repsam.service"
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert "repsam.service" not in result.stderr, result.stderr


def test_the_container_installs_extras_that_exist() -> None:
    text = (OPERATIONS / "Containerfile").read_text()
    setup = (OPERATIONS.parents[1] / "setup.py").read_text()
    (extras,) = re.findall(r"'/src\[([\w,]+)\]'", text)
    assert all(f'"{extra}":' in setup for extra in extras.split(","))
    assert 'ENTRYPOINT ["repsam", "run"]' in text
