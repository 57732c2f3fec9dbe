"""The files of ``config/operations`` start what there is to start."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from repsam_ros.cli.main import load_verb, verb_parser

ROOT = Path(__file__).parents[1]
OPERATIONS = ROOT / "config" / "operations"


def test_the_systemd_unit_runs_a_command_that_exists() -> None:
    text = (OPERATIONS / "repsam.service").read_text()
    found = re.search(r"^ExecStart=\S+/repsam (\w+) (.*)$", text, re.MULTILINE)
    assert found is not None
    args = verb_parser(found[1], load_verb(found[1])).parse_args(shlex.split(found[2]))
    assert (args.namespace, args.camera) == ("repsam", "camera/camera")


def test_the_guide_names_fast_dds_settings_where_the_units_environment_has_them() -> None:
    unit = (OPERATIONS / "repsam.service").read_text()
    guide = (ROOT / "docs" / "operations.md").read_text()
    prefix = re.search(r"^ExecStart=(\S+)/bin/repsam ", unit, re.MULTILINE)
    profile = re.search(r"export FASTRTPS_DEFAULT_PROFILES_FILE=(\S+)", guide)
    assert prefix is not None and profile is not None
    assert profile[1] == f"{prefix[1]}/share/repsam_ros/config/fastdds.xml"


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
    setup = (ROOT / "setup.py").read_text()
    (extras,) = re.findall(r"\.whl\)\[([\w,]+)\]", text)
    assert all(f'"{extra}":' in setup for extra in extras.split(","))
    assert 'ENTRYPOINT ["repsam", "run"]' in text


def test_the_containers_wheel_is_made_of_what_it_copies_and_nothing_else_is_copied(
    tmp_path: Path,
) -> None:
    """The first stage, done here: its COPY and RUN instructions with other folders."""
    pytest.importorskip("setuptools", minversion="70.1", reason="needs setuptools with bdist_wheel")
    stage = (OPERATIONS / "Containerfile").read_text().split("\nFROM ")[1]
    source, wheels = tmp_path / "src", tmp_path / "wheels"
    for line in re.findall(r"^COPY (.*)$", stage, re.MULTILINE):
        *names, target = line.split()
        for name in names:
            goal = tmp_path / target.strip("/") / (name if target.endswith("/") else "")
            assert "." not in name[:1], "the whole checkout, with what git ignores"
            goal.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, goal)
    (command,) = re.findall(r"^RUN pip (wheel .*) /wheels /src$", stage, re.MULTILINE)
    options = [*shlex.split(command), str(wheels), "--no-build-isolation", "--quiet", str(source)]
    subprocess.run([sys.executable, "-m", "pip", *options], check=True)
    (wheel,) = wheels.iterdir()
    names = zipfile.ZipFile(wheel).namelist()
    for file in ("models/manifest.yaml", "config/fastdds.xml", "launch/replay.launch.py"):
        assert any(name.endswith(f"share/repsam_ros/{file}") for name in names)
    assert "repsam_ros/ros/perception_node.py" in names
