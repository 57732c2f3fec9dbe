"""What pip and colcon make of the package, in temporary folders."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from repsam_ros import __version__

ROOT = Path(__file__).parents[1]
SHIPPED = ("package.xml", "setup.py", "pyproject.toml", "README.md", "LICENSE")
FOLDERS = ("repsam_ros", "launch", "config", "models")
EXECUTABLES = {"repsam", "perception_node", "grasp_planner_node"}
HANG_S = 180.0  # ends a process that would otherwise hold up the run for ever

# Neither the caller's overlay nor this source tree may stand in for what was built.
CLEAN = {key: text for key, text in os.environ.items() if key not in ("PYTHONPATH", "COLCON_HOME")}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of what a user builds from, without caches."""
    copy = tmp_path_factory.mktemp("source") / "repsam_ros"
    copy.mkdir()
    for name in SHIPPED:
        shutil.copy(ROOT / name, copy)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def run(*command: object, cwd: Path, **environment: str) -> str:
    """Standard output of a command; fails the test with what it printed."""
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**CLEAN, **environment},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def installed_files(share: Path) -> set[str]:
    return {path.relative_to(share).as_posix() for path in share.rglob("*") if path.is_file()}


def shared_files() -> set[str]:
    """What has to lie in share/repsam_ros of any installation."""
    files = {"package.xml"}
    for folder in ("launch", "config", "models"):
        files |= {
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / folder).rglob("*")
            if path.suffix in {".py", ".rviz", ".safetensors", ".yaml"}
        }
    return files


def test_a_wheel_holds_code_launch_files_configuration_and_models(source, tmp_path):
    pytest.importorskip("setuptools", minversion="70.1", reason="needs setuptools with bdist_wheel")
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", tmp_path)
    run(sys.executable, "-m", "pip", "wheel", *options, source, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    data = f"repsam_ros-{__version__}.data/data/share"
    assert f"{data}/ament_index/resource_index/packages/repsam_ros" in names
    assert {f"{data}/repsam_ros/{name}" for name in shared_files()} <= names
    modules = (ROOT / "repsam_ros").rglob("*.py")
    assert {path.relative_to(ROOT).as_posix() for path in modules} <= names
    assert not [name for name in names if name.startswith(("test", "launch/"))]


def test_every_entry_point_resolves():
    entry_points = importlib.metadata.distribution("repsam_ros").entry_points
    assert {point.name for point in entry_points} == EXECUTABLES
    for point in entry_points:
        if ".ros." in point.value and importlib.util.find_spec("rclpy") is None:
            continue
        assert callable(point.load())


def test_every_requirement_is_pinned():
    def normal(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all("==" in pin for pin in pins)
    pinned = {normal(pin.split("==")[0]) for pin in pins}
    requirements = importlib.metadata.requires("repsam_ros") or []
    names = {normal(re.split(r"[\s;<>=!~\[]", line, maxsplit=1)[0]) for line in requirements}
    assert names <= pinned


def colcon_build(source: Path, folder: Path, *options: str) -> Path:
    """Builds a workspace that holds this package; returns its install prefix."""
    pytest.importorskip("colcon_core", reason="needs colcon (the extra dev)")
    (folder / "src").mkdir()
    shutil.copytree(source, folder / "src" / "repsam_ros")
    run(
        *(sys.executable, "-m", "colcon", "build", *options),
        cwd=folder,
        AMENT_PREFIX_PATH=os.environ.get("AMENT_PREFIX_PATH", sys.prefix),
        COLCON_HOME=str(folder / "home"),
    )
    return folder / "install" / "repsam_ros"


@pytest.fixture(scope="module")
def workspace(source, tmp_path_factory) -> Path:
    """A colcon workspace with this package built and installed."""
    folder = tmp_path_factory.mktemp("workspace")
    colcon_build(source, folder)
    return folder


def assert_complete(prefix: Path) -> None:
    """``prefix`` holds what ros2 run and ros2 launch look for."""
    assert {path.name for path in (prefix / "lib/repsam_ros").iterdir()} == EXECUTABLES
    assert (prefix / "share/ament_index/resource_index/packages/repsam_ros").is_file()
    assert shared_files() <= installed_files(prefix / "share/repsam_ros")


@pytest.mark.ros
def test_colcon_installs_what_ros2_looks_for(workspace):
    assert_complete(workspace / "install" / "repsam_ros")


@pytest.mark.ros
def test_colcon_installs_links_as_well(source, tmp_path):
    assert_complete(colcon_build(source, tmp_path, "--symlink-install"))


@pytest.mark.ros
def test_installed_executables_run_the_installed_code(workspace):
    prefix = workspace / "install" / "repsam_ros"
    executable = prefix / "lib/repsam_ros/repsam"
    # The environment's interpreter, not /usr/bin/python3: the one that has torch.
    assert executable.read_text().splitlines()[0] == f"#!{sys.executable}"
    sourced = f'. "{workspace}/install/setup.sh" && exec "$@"'
    assert run("sh", "-c", sourced, "sh", executable, "--version", cwd=workspace) == (
        f"repsam {__version__}\n"
    )
    code = "import repsam_ros.paths as p; print(p.__file__); print(p.share_dir())"
    out = run("sh", "-c", sourced, "sh", sys.executable, "-c", code, cwd=workspace)
    assert all(Path(line).is_relative_to(prefix) for line in out.splitlines())


@pytest.mark.ros
@pytest.mark.parametrize("name", ["perception_node", "grasp_planner_node"])
def test_installed_nodes_start_and_stop(workspace, name):
    pytest.importorskip("rclpy", reason="needs ROS (the extra ros)")
    executable = workspace / "install/repsam_ros/lib/repsam_ros" / name
    alone = {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": str(1 + os.getpid() % 100),
    }
    sourced = f'. "{workspace}/install/setup.sh" && exec "$@" --ros-args -p autostart:=true'
    with subprocess.Popen(
        ["sh", "-c", sourced, "sh", str(executable)],
        cwd=workspace,
        env={**CLEAN, **alone},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        guard = threading.Timer(HANG_S, process.kill)
        guard.start()
        lines = []
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if "activate: done" in line or "failed" in line:
                process.send_signal(signal.SIGINT)
    guard.cancel()
    log = "".join(lines)
    assert process.returncode == 0, log
    assert "activate: done" in log
