"""``cka.json``: what a comparison found, to be read by people and by the rank allocation."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros import __version__
from repsam_ros.adaptation.cka.sums import Estimates
from repsam_ros.config import load_json
from repsam_ros.paths import write_text

ROWS = ("image_mean", "tokens")


@dataclass(frozen=True)
class LayerValues:
    """Values of L blocks.

    Attributes:
        cka: At most 1; negative values are kept.
        ci95: Bootstrap over scenes.
        p: See :attr:`CkaReport.p_of`.
        n: Rows.
        scenes: Independent among them.
    """

    cka: list[float]
    ci95: list[list[float]]
    p: list[float]
    n: int
    scenes: int


@dataclass(frozen=True)
class CkaReport:
    """One comparison.

    Attributes:
        measure: ``debiased linear CKA`` or ``feature-covariance alignment``.
        p_of: The hypothesis that p speaks against.
        rows: By row definition: the comparison itself; for ``paired`` source against robot.
        factors: By twin, then row definition: the robot's view against it.
        controls: By name, then row definition: values of the blocks.
        expected: What each control should be.
        seconds: Forward passes, statistics, and waiting for pictures.
    """

    comparison: str
    measure: str
    p_of: str
    rows: dict[str, LayerValues]
    factors: dict[str, dict[str, LayerValues]]
    controls: dict[str, dict[str, list[float]]]
    expected: dict[str, str]
    model: str
    model_sha256: str
    config: dict[str, Any]
    seconds: dict[str, float]
    finetuned_sha256: str | None = None
    version: str = field(default=__version__)

    def values(self, rows: str = "image_mean") -> NDArray[np.float64]:
        """(L,) of the comparison itself."""
        return np.array(self.rows[rows].cka, np.float64)


def layer_values(found: Estimates, n: int, scenes: int) -> LayerValues:
    """Estimates as plain numbers."""
    return LayerValues(found.value.tolist(), found.interval.tolist(), found.p.tolist(), n, scenes)


def write_cka_report(path: Path, report: CkaReport) -> None:
    """Writes ``report`` as JSON."""
    write_text(path, json.dumps(asdict(report), indent=2, allow_nan=False) + "\n")


def read_cka_report(path: Path) -> CkaReport:
    """Reads what :func:`write_cka_report` wrote.

    Raises:
        DatasetError: The file is missing or no such report.
        ConfigError: An entry is missing, unknown or of a wrong type.
    """
    return load_json(CkaReport, path, "a CKA report")


def text_table(report: CkaReport) -> str:
    """The values of every block, of every factor and of the controls."""
    lines = [
        f"{report.measure}, {report.comparison}, {report.model}",
        f"p speaks against: {report.p_of}",
    ]
    for rows in ROWS:
        lines += ["", *_main_table(report.rows[rows], rows)]
    names = [name for name in report.factors if len(report.factors) > 1]
    for rows in ROWS if names else ():
        lines += ["", f"robot view against each twin, {rows}"]
        columns = [report.factors[name][rows].cka for name in names]
        lines += _columns(names, columns)
    lines += ["", "controls, least and greatest over the blocks"]
    for name, values in report.controls.items():
        found = "  ".join(f"{rows} {_range(values[rows])}" for rows in ROWS)
        lines.append(f"  {name:<14} {found}  (expected {report.expected[name]})")
    return "\n".join(lines)


def _main_table(values: LayerValues, rows: str) -> list[str]:
    lines = [f"{rows}: {values.n} rows of {values.scenes} scenes"]
    lines.append("  block    value   95 % interval       p")
    for block, (value, (low, high), p) in enumerate(
        zip(values.cka, values.ci95, values.p, strict=True)
    ):
        lines.append(f"  {block:5d}  {value:7.4f}  [{low:7.4f}, {high:7.4f}]  {p:6.4f}")
    return lines


def _columns(names: list[str], columns: list[list[float]]) -> list[str]:
    head = "  block" + "".join(f"{name:>10}" for name in names)
    body = [
        f"  {block:5d}" + "".join(f"{value:10.4f}" for value in row)
        for block, row in enumerate(zip(*columns, strict=True))
    ]
    return [head, *body]


def _range(values: list[float]) -> str:
    return f"{min(values):.4f} to {max(values):.4f}"
