"""What a benchmark ran on."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

# Instructions that decide how fast a network in reduced precision is.
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "asimd")
_PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "torch",
    "segment-anything",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "tensorrt",
    "tensorrt-rtx-cu13",
    "open3d",
    "open3d-cpu",
)


def describe_machine() -> dict[str, Any]:
    """Processor, system, versions, and how busy it was in the last minute."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        **_processor(),
        "usable_cores": usable,
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "load_average": round(os.getloadavg()[0], 2),
        "versions": versions,
    }


def _processor() -> dict[str, Any]:
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.is_file() else ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    has = set(flags[1].split()) if flags else set()
    return {
        "processor": name[1] if name else platform.processor() or platform.machine(),
        "instructions": [flag for flag in _FLAGS if flag in has],
    }
