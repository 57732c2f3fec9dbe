from __future__ import annotations

import pytest

from repsam_ros.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "no such bag"),
        (["--set", "pipeline.no_such_key=1"], "no_such_key"),
        (["--set", "slop_s=2"], "slop_s"),
        (["--ros", "--device", "cuda"], "--device"),
        (["--ros", "--set", "slop_s=0.1"], "--set"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys, arguments, named):
    out = tmp_path / "out"
    assert main(["replay", str(tmp_path / "absent"), "--out", str(out), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert named in error
    assert not out.exists()
