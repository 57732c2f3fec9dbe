"""The tables of attempts."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from repsam_ros.errors import DatasetError
from repsam_ros.structures import Grasp
from repsam_ros.trials.rows import AttemptRow, AttemptTimes, WrittenGrasp, read_rows, write_rows

WORDS = st.text(st.characters(codec="ascii", exclude_categories=("C",)), min_size=1)
NUMBERS = st.floats(-1e6, 1e6)
VALUES = {
    str: WORDS,
    int: st.integers(-(10**9), 10**9),
    float: NUMBERS,
    int | None: st.none() | st.integers(1, 99),
    float | None: st.none() | NUMBERS,
    str | None: st.none() | WORDS,
}


def any_row(kind: type[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{name: VALUES[hint] for name, hint in get_type_hints(kind).items()})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(rows=st.lists(any_row(AttemptRow), max_size=3), times=st.lists(any_row(AttemptTimes)))
def test_what_is_written_is_read_again(tmp_path: Path, rows: list[Any], times: list[Any]) -> None:
    for name, kind, values in (("a", AttemptRow, rows), ("t", AttemptTimes, times)):
        write_rows(tmp_path / name, values, kind)
        assert read_rows(tmp_path / name, kind) == values


@pytest.mark.parametrize("text", ["", "stratum,seed\n", "{header}\nx,y\n", "{header}\n{cells}\n"])
def test_another_table_is_refused(tmp_path: Path, text: str) -> None:
    names = [item.name for item in fields(AttemptTimes)]
    cells = ",".join("seven" for _ in names)
    path = tmp_path / "times.csv"
    path.write_text(text.format(header=",".join(names), cells=cells))
    with pytest.raises(DatasetError, match=r"times\.csv"):
        read_rows(path, AttemptTimes)
    with pytest.raises(DatasetError, match="No such file"):
        read_rows(tmp_path / "none.csv", AttemptTimes)


@given(seed=st.integers(0, 10**6))
def test_a_written_grasp_is_the_grasp_to_the_micrometre(seed: int) -> None:
    rng = np.random.default_rng(seed)
    turn = Rotation.random(random_state=seed).as_matrix()
    grasp = Grasp(rng.uniform(-1, 1, 3), turn, rng.uniform(0, 0.08), rng.random(), 4)
    written = WrittenGrasp.of(grasp)
    again = written.grasp()
    np.testing.assert_allclose(again.position_m, grasp.position_m, atol=6e-7)
    np.testing.assert_allclose(again.rotation, grasp.rotation, atol=4e-6)
    assert again.width_m == pytest.approx(grasp.width_m, abs=6e-7)
    assert written.qw >= 0
