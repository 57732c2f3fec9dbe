"""Memory and CPU time of running processes, over time."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repsam_ros.evaluation.soak.measures import memory_growth_mb_h
from repsam_ros.images import write_png
from repsam_ros.presentation.charts import draw_chart
from repsam_ros.ros.processes import ChildProcess

_PERIOD_S = 1.0
_CHART_POINTS = 240


class UsageRecorder:
    """Samples processes once a second, when asked; Linux only (/proc)."""

    def __init__(self, children: Sequence[ChildProcess]) -> None:
        self._children = children
        self._times_s: list[float] = []
        self._memory_mb: dict[str, list[float]] = {}
        self._cpu_s: dict[str, list[float]] = {}

    def start(self) -> None:
        """Takes the first sample."""
        self._start_s = time.monotonic()
        for child in self._children:
            self._memory_mb[child.label], self._cpu_s[child.label] = [], []
        self.sample()

    @property
    def is_due(self) -> bool:
        """Whether the last sample is a period old."""
        return time.monotonic() - self._start_s >= self._times_s[-1] + _PERIOD_S

    @property
    def duration_s(self) -> float:
        """From the first sample to the last."""
        return self._times_s[-1]

    def sample(self) -> None:
        """Takes a sample of every process."""
        self._times_s.append(time.monotonic() - self._start_s)
        for child in self._children:
            self._memory_mb[child.label].append(_memory_mb(child.pid))
            self._cpu_s[child.label].append(_cpu_s(child.pid))

    def summary(self) -> dict[str, dict[str, Any]]:
        """By process: memory at the start, at the end and at most, its trend, share of a CPU."""
        return {child.label: self._summary(child.label) for child in self._children}

    def _summary(self, label: str) -> dict[str, Any]:
        memory_mb, cpu_s = self._memory_mb[label], self._cpu_s[label]
        growth = memory_growth_mb_h(self._times_s, memory_mb)
        return {
            "memory_first_mb": round(memory_mb[0], 1),
            "memory_last_mb": round(memory_mb[-1], 1),
            "memory_largest_mb": round(max(memory_mb), 1),
            "memory_growth_mb_h": round(growth, 2) if np.isfinite(growth) else None,
            "cpu_share": round((cpu_s[-1] - cpu_s[0]) / max(self.duration_s, 1e-9), 3),
        }

    def draw_memory(self, path: Path) -> None:
        """Writes a chart of the memory over time."""
        stride = -(-len(self._times_s) // _CHART_POINTS)
        values = {label: memory_mb[::stride] for label, memory_mb in self._memory_mb.items()}
        x_label = f"samples, one every {stride * _PERIOD_S:g} s"
        write_png(path, draw_chart("Resident memory", "MB", values, x_label=x_label))


def _memory_mb(pid: int) -> float:
    """Resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _cpu_s(pid: int) -> float:
    """CPU time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
