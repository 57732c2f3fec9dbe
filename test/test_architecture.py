"""Guards the structure: who imports whom, what loads, what agrees."""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import repsam_ros

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "repsam_ros"
NAME = PACKAGE.name

ROS = re.compile(
    r"(\w+_msgs|\w+_srvs|\w+_interfaces|rclpy|rcl_\w+|cv_bridge|tf2_\w+|message_filters|"
    r"ament_\w+|launch|launch_\w+|rosidl_\w+|rosbag2_py|diagnostic_updater)"
)

# Heavy or optional packages, and the only places that may import them.
HOME_OF = {
    "OpenEXR": ("exr_files",),
    "dask": ("simulation.cluster",),
    "distributed": ("simulation.cluster",),
    "drjit": ("simulation.photorealistic",),
    "embreex": ("simulation.embree",),
    "mitsuba": ("simulation.photorealistic",),
    "mujoco": ("simulation",),
    "onnx": ("backends.onnxruntime", "export"),
    "onnxruntime": ("backends.onnxruntime", "export"),
    "open3d": ("evaluation.latency", "simulation"),
    "openvino": ("backends.openvino",),
    "peft": ("methods", "network.adapter_files", "network.adapters"),
    "pycocotools": ("metrics.coco",),
    "pyoidn": ("simulation.photorealistic",),
    "rosbags": ("bags", "messages"),
    "segment_anything": ("evaluation.latency", "export", "methods.hq_token", "network"),
    "tensorrt": ("backends.tensorrt", "export"),
    "tensorrt_rtx": ("backends.tensorrt", "export"),
    "timm": ("network.backbones.mobile_sam",),
    "transformers": ("network.backbones.sam2",),
    "trimesh": ("simulation.meshes",),
    "viser": ("browser_view",),
}

# Packages that a machine may lack without any module being broken.
OPTIONAL = {
    "OpenEXR",
    "dask",
    "distributed",
    "drjit",
    "launch",
    "launch_ros",
    "mitsuba",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "open3d",
    "openvino",
    "peft",
    "pycocotools",
    "pyoidn",
    "tensorrt",
    "tensorrt_rtx",
    "viser",
}

# Scores, pictures and pages, and the runs that end in them.
RESULTS = ("evaluation", "metrics", "presentation", "replay", "trials")
# What one command measures; the modules beside these folders serve all of them.
MEASUREMENTS = tuple(
    f"evaluation.{path.name}"
    for path in (PACKAGE / "evaluation").iterdir()
    if (path / "__init__.py").is_file()
)

# No module of the first folder imports one of the others: the flow goes one way.
FORBIDDEN = {
    "perception": ("adaptation", "simulation", "datasets", "network", *RESULTS),
    "messages": ("perception", "network", "adaptation", "grasping", *RESULTS),
    "grasping": ("adaptation", "network", *RESULTS),
    "network": ("adaptation", "datasets", "simulation", *RESULTS),
    "backends": ("adaptation", "datasets", "simulation", *RESULTS),
    # Backends load what they adapt, and measurements load backends.
    "methods": ("adaptation", "backends", "datasets", "simulation", *RESULTS),
    "datasets": ("adaptation", "network", *RESULTS),
    # It colours the depth of its contact sheet.
    "simulation": ("adaptation", "network", "perception", *(set(RESULTS) - {"presentation"})),
    "evaluation": ("adaptation", "replay", "trials"),
    "replay": ("adaptation", "datasets", "network", "simulation", "trials", *MEASUREMENTS),
    "adaptation": ("replay", "trials", *MEASUREMENTS),
    "trials": ("replay", *MEASUREMENTS),
}

# Below all the others: besides their own modules they import these alone.
FOUNDATIONS = {"metrics": ("errors",), "presentation": ("structures",)}

# The online path: importable on a robot that has a run-time backend but no torch, no Open3D.
ONLINE = ("backends", "bags", "config", "errors", "messages", "paths", "structures")
TRAINING_PACKAGES = (
    "torch",
    "torchvision",
    "open3d",
    "mujoco",
    "segment_anything",
    "onnx",
    "onnxscript",
)


def dotted(path: Path) -> str:
    """Module name inside the package, ``""`` for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}
VERBS = sorted(path for path in (PACKAGE / "cli").glob("[!_]*.py") if path.stem != "main")
NODES = [PACKAGE / "ros" / f"{name}_node.py" for name in ("perception", "grasp_planner")]


@functools.cache
def imports(path: Path, top_level_only: bool = False) -> frozenset[str]:
    """Absolute names that a file imports; those under ``if TYPE_CHECKING`` count as well."""

    def walk(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: relative import"
                yield from (f"{child.module}.{alias.name}" for alias in child.names)
            elif isinstance(child, ast.Call) and (name := imported_by_call(child)):
                yield name
            elif top_level_only and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            else:
                yield from walk(child)

    return frozenset(walk(ast.parse(path.read_text(), str(path))))


def imported_by_call(call: ast.Call) -> str | None:
    """The name in ``import_module("name")``."""
    if not re.search(r"\bimport_module$", ast.unparse(call.func)) or not call.args:
        return None
    (name, *_) = call.args
    return name.value if isinstance(name, ast.Constant) else None


def inside(module: str, place: str) -> bool:
    return module == place or module.startswith(f"{place}.")


def own_imports(path: Path, top_level_only: bool = False) -> list[str]:
    """What a file imports from this package, without the package's name."""
    prefix = f"{NAME}."
    names = imports(path, top_level_only)
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def run_python(code: str, *arguments: str) -> str:
    """Standard output of ``python -c CODE``; fails the test with its traceback."""
    command = [sys.executable, "-W", "error::ImportWarning", "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("module", MODULES)
def test_ros_is_imported_only_in_its_folder(module):
    if inside(module, "ros"):
        return
    roots = {name.split(".")[0] for name in imports(MODULES[module])}
    assert not [root for root in roots if ROS.fullmatch(root)]


@pytest.mark.parametrize("module", MODULES)
def test_heavy_packages_stay_in_their_modules(module):
    roots = {name.split(".")[0] for name in imports(MODULES[module])}
    strays = [
        root
        for root in roots & HOME_OF.keys()
        if not any(inside(module, home) for home in HOME_OF[root])
    ]
    assert not strays


@pytest.mark.parametrize("module", MODULES)
def test_imports_follow_the_flow(module):
    forbidden = FORBIDDEN.get(module.split(".")[0], ())
    names = own_imports(MODULES[module])
    assert not [name for name in names if any(inside(name, place) for place in forbidden)]


@pytest.mark.parametrize("place", FOUNDATIONS)
def test_foundations_import_nothing_above_them(place):
    allowed = (place, *FOUNDATIONS[place])
    modules = [module for module in MODULES if inside(module, place)]
    names = [name for module in modules for name in own_imports(MODULES[module])]
    assert len(modules) > 1
    assert not [name for name in names if not any(inside(name, each) for each in allowed)]


@pytest.mark.parametrize("module", [module for module in MODULES if inside(module, "evaluation")])
def test_measurements_do_not_know_each_other(module):
    others = [place for place in MEASUREMENTS if not inside(module, place)]
    names = own_imports(MODULES[module])
    assert not [name for name in names if any(inside(name, place) for place in others)]


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_the_command_line_or_the_nodes(module):
    names = own_imports(MODULES[module])
    if not inside(module, "cli"):
        assert not [name for name in names if inside(name, "cli")]
    if not inside(module, "ros"):
        at_start = own_imports(MODULES[module], top_level_only=True)
        assert not [name for name in at_start if inside(name, "ros")]
    if not inside(module, "ros") and not inside(module, "cli"):
        assert not [name for name in names if inside(name, "ros")]


@pytest.mark.parametrize("path", NODES, ids=lambda path: path.stem)
def test_a_node_only_connects(path):
    """No geometry and no network in a node: it subscribes, calls the core and publishes."""
    roots = {name.split(".")[0] for name in imports(path)}
    assert not roots & {"numpy", "cv2", "scipy", "torch"}
    assert len(path.read_text().splitlines()) <= 250


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES.values()}), ids=str)
def test_every_folder_is_a_package(folder):
    assert (folder / "__init__.py").is_file(), "find_packages would leave this folder out"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_imports(module):
    try:
        importlib.import_module(f"{NAME}.{module}".rstrip("."))
    except ImportError as error:
        missing = (error.name or "").split(".")[0]
        without_ros = inside(module, "ros") and importlib.util.find_spec("rclpy") is None
        if missing not in OPTIONAL and not (without_ros and ROS.fullmatch(missing)):
            raise
        pytest.skip(f"needs {missing}")


def test_the_online_path_needs_neither_torch_nor_open3d():
    modules = [
        f"{NAME}.{module}"
        for module in MODULES
        if any(inside(module, place) for place in (*ONLINE, "perception", "grasping.planners"))
        and not inside(module, "backends.torch")
    ]
    code = (
        "import importlib, sys\n"
        "blocked, modules = sys.argv[1].split(','), sys.argv[2].split(',')\n"
        "sys.modules.update(dict.fromkeys(blocked))\n"  # None makes the import fail
        "for module in modules: importlib.import_module(module)\n"
        "print(len(modules))\n"
    )
    out = run_python(code, ",".join(TRAINING_PACKAGES), ",".join(modules))
    assert int(out) == len(modules) > 10


# Folders of config/ whose files are one dataclass each.
CONFIG_OF = {
    "ablation": "adaptation.ablation.config.AblationConfig",
    "cameras": "camera_topics.CameraTopics",
    "cka": "adaptation.cka.configuration.CkaConfig",
    "crossval": "adaptation.crossval.config.CrossvalConfig",
    "experiments": "adaptation.training_config.TrainConfig",
    "ranks": "adaptation.rank_plan.RanksConfig",
    "scorer": "trials.scorer.settings.ScorerConfig",
    "trials": "trials.configuration.TrialsConfig",
}


def load_configuration(path: Path) -> object:
    """What the command that takes the file makes of it."""
    folder = path.parent.name
    if folder in CONFIG_OF:
        from repsam_ros.config import load_config

        module, _, name = CONFIG_OF[folder].rpartition(".")
        return load_config(getattr(importlib.import_module(f"{NAME}.{module}"), name), path)
    if folder == "benchmark":
        from repsam_ros.config import build_config
        from repsam_ros.evaluation.benchmark.config import BenchmarkConfig, read_roots

        content = {"roots": read_roots(path), "methods": ["repsam_tiny"]}
        return build_config(BenchmarkConfig, content, str(path))
    if folder == "grippers":
        from repsam_ros.grasping.gripper import load_gripper

        return load_gripper(path)
    if folder == "sensors":
        from repsam_ros.simulation.sensor import load_sensor

        return load_sensor(path)
    if folder == "simulation":
        from repsam_ros.simulation.configuration import load_simulate_config

        return load_simulate_config({"scenes": 1, "seed": 0}, str(path), [])
    # Parameters of nodes: test/ros/test_parameters.py holds them against the nodes.
    assert folder == "config", f"no command is known that takes files of {folder}"
    return {
        node: content["ros__parameters"]
        for node, content in yaml.safe_load(path.read_text()).items()
    }


@pytest.mark.parametrize("path", sorted((ROOT / "config").rglob("*.yaml")), ids=lambda p: p.stem)
def test_every_configuration_loads(path):
    assert load_configuration(path)


@pytest.mark.parametrize("path", VERBS, ids=lambda path: path.stem)
def test_every_verb_has_its_three_parts(path):
    verb = importlib.import_module(f"{NAME}.cli.{path.stem}")
    assert verb.SUMMARY.strip() == verb.SUMMARY and verb.SUMMARY
    assert "\n" not in verb.SUMMARY
    assert callable(verb.add_arguments) and callable(verb.run)


@pytest.mark.parametrize("verb", ["", *(path.stem.replace("_", "-") for path in VERBS)])
def test_help_loads_nothing_heavy(verb):
    heavy = {"cv2", "numpy", "rclpy", "scipy", "torch", "yaml"} | HOME_OF.keys()
    code = (
        "import sys\n"
        "from repsam_ros.cli.main import main\n"
        "heavy = set(sys.argv.pop(1).split(','))\n"
        "try: main([*sys.argv[1:], '--help'])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    out = run_python(code, ",".join(heavy), *([verb] if verb else []))
    assert out.startswith("usage: repsam")


def test_versions_agree():
    package_xml = ElementTree.parse(ROOT / "package.xml").findtext("version")
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "setup.py", "--version"]
    setup_py = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout.split()[-1]
    changelog = re.search(r"^(\d+\.\d+\.\d+) ", (ROOT / "CHANGELOG.rst").read_text(), re.M)
    assert changelog is not None
    assert {package_xml, setup_py, changelog[1]} == {repsam_ros.__version__}
