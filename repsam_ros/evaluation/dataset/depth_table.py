"""The tables of ``repsam data depth``: data sets side by side, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from repsam_ros.evaluation.dataset.depth_edges import SIDES, STEPS_PX_M
from repsam_ros.evaluation.dataset.depth_statistics import CLOSE_M, QUANTILES, WRONG_M
from repsam_ros.presentation.markdown import table

Statistics = dict[str, Any]
_Rows = list[tuple[str, list[str]]]


def markdown(columns: Sequence[Statistics]) -> str:
    """One column a data set; the frames with glass of the first follow."""
    parts = ["# Sensed depth", _table(columns, _general_rows(columns))]
    for title, key in (("Glass and clear plastic", "glass"), ("Everything else", "opaque")):
        if any(column[key] for column in columns):
            parts += [f"## {title}", _table(columns, _error_rows(columns, key))]
    parts += [
        "## Depth edges",
        "Missing pixels beside near things, by the step in inverse depth times the focal length; "
        "pixels of a picture 640 wide. The gap over that step is the baseline, in mm, that would "
        "cast such a shadow. Raggedness: scatter about a straight line 11 rows long.",
        _table(columns, _edge_rows(columns)),
        "## Planes",
        "Scatter about a plane in windows of 12 x 12 px of the background, and what of it "
        "neighbouring pixels do not share.",
        _table(columns, _plane_rows(columns)),
    ]
    if frames := columns[0]["frames"]:
        parts += [f"## Frames with glass of {columns[0]['name']}", _frame_table(frames)]
    return "\n\n".join(parts) + "\n"


def _general_rows(columns: Sequence[Statistics]) -> _Rows:
    return [
        ("frames", [str(column["count"]) for column in columns]),
        ("of 100 mm about 1 m, values that occur", [str(column["levels"]) for column in columns]),
        ("nearest depth", [_metres(column["nearest_m"]) for column in columns]),
        (
            f"narrowest border without depth, {', '.join(SIDES)}",
            [_pixels(column["border_px"]) for column in columns],
        ),
    ]


def _metres(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} m"


def _pixels(by_side: dict[str, float] | None) -> str:
    return "-" if by_side is None else " ".join(f"{by_side[s]:.0f}" for s in SIDES) + " px"


def _table(columns: Sequence[Statistics], rows: _Rows) -> str:
    heads = ["", *(column["name"] for column in columns)]
    return table(heads, [[name, *cells] for name, cells in rows], align_numbers=True)


def _error_cells(errors: dict[str, Any] | None) -> list[str]:
    if errors is None:
        return ["-"] * 6
    cells = [f"{errors['pixels']}", f"{100 * errors['missing_share']:.1f} %"]
    if errors["median_abs_error_m"] is None:
        return [*cells, *["-"] * 4]
    return [
        *cells,
        f"{1000 * errors['median_abs_error_m']:.1f} mm",
        f"{100 * errors['close_share']:.1f} %",
        f"{100 * errors['wrong_share']:.1f} %",
        " ".join(f"{1000 * value:.0f}" for value in errors["quantiles_m"]) + " mm",
    ]


_ERROR_TITLES = (
    "pixels",
    "missing",
    "median absolute error",
    f"within {1000 * CLOSE_M:.0f} mm",
    f"over {1000 * WRONG_M:.0f} mm",
    f"error, quantiles {' '.join(f'{q:g}' for q in QUANTILES)}",
)


def _error_rows(columns: Sequence[Statistics], key: str) -> _Rows:
    cells = [_error_cells(column[key]) for column in columns]
    return [(title, [c[i] for c in cells]) for i, title in enumerate(_ERROR_TITLES)]


def _edge_rows(columns: Sequence[Statistics]) -> _Rows:
    rows = []
    for side in SIDES:
        for low, high in zip(STEPS_PX_M, (*STEPS_PX_M[1:], None), strict=True):
            until = f"to {high:.0f}" if high else "and more"
            found = [
                next((s for s in c["edges"][side]["steps"] if s["step_px_m"] == low), None)
                for c in columns
            ]
            cells = [
                "-"
                if s is None
                else f"{100 * s['with_gap']:.0f} %, {s['gap_px']:.1f} px, {s['gap_mm']:.0f} mm"
                for s in found
            ]
            rows.append((f"{side}, step {low:.0f} {until} px/m: with gap, mean gap", cells))
        ragged = [c["edges"][side]["raggedness_px"] for c in columns]
        rows.append((f"{side}, raggedness", ["-" if r is None else f"{r:.2f} px" for r in ragged]))
    return rows


def _plane_rows(columns: Sequence[Statistics]) -> _Rows:
    by_depth = [{row["depth_m"]: row for row in column["planes"]} for column in columns]
    rows = []
    for depth_m in sorted(set().union(*by_depth)):
        found = [planes.get(depth_m) for planes in by_depth]
        cells = [
            "-" if row is None else f"{row['sigma_mm']:.2f} mm, {row['white_mm']:.2f} mm"
            for row in found
        ]
        rows.append((f"at {depth_m:g} m: scatter, unshared part", cells))
    return rows


def _frame_table(frames: list[dict[str, Any]]) -> str:
    rows = [[frame["name"], *_error_cells(frame)] for frame in frames]
    return table(["frame", *_ERROR_TITLES], rows, align_numbers=True)
