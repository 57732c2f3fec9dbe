"""The frame of the command line: finding verbs, errors in one line, exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import repsam_ros
from repsam_ros.cli import main as cli

ROOT = Path(__file__).parents[2]


@pytest.fixture
def add_verb(tmp_path, monkeypatch):
    """Adds a verb file to a copy of the folder that holds the verbs."""
    package = tmp_path / "repsam_ros"
    (package / "cli").mkdir(parents=True)
    for name in ("__init__.py", "errors.py", "cli/__init__.py", "cli/main.py"):
        (package / name).write_text((ROOT / "repsam_ros" / name).read_text())

    def add(name: str, body: str) -> None:
        head = f'SUMMARY = "does {name}"\n\ndef add_arguments(parser):\n    pass\n\n'
        (package / "cli" / f"{name}.py").write_text(head + textwrap.dedent(body))

    return add


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    """``repsam ARGUMENTS`` with the package in ``tmp_path``."""
    return subprocess.Popen(
        [sys.executable, "-m", "repsam_ros.cli.main", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A run started in the background of a shell hands down an ignored SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_a_file_is_a_verb(tmp_path, add_verb):
    add_verb("wave_hand", "def run(args):\n    print('hello')\n    return 7\n")
    process = start(tmp_path, "wave-hand")
    out, err = process.communicate()
    assert (out, err, process.returncode) == ("hello\n", "", 7)
    out, _ = start(tmp_path, "--help").communicate()
    assert "wave-hand  does wave_hand" in out


def test_files_with_an_underscore_first_are_no_verbs(tmp_path, add_verb):
    add_verb("_shared", "def run(args):\n    return 0\n")
    process = start(tmp_path, "_shared")
    process.communicate()
    assert process.returncode == 2


def test_an_error_on_purpose_is_one_line_and_exit_2(tmp_path, add_verb):
    add_verb(
        "fail",
        """
        from repsam_ros.errors import ConfigError

        def run(args):
            raise ConfigError("a.yaml: unknown key\\n  speed")
        """,
    )
    process = start(tmp_path, "fail")
    out, err = process.communicate()
    assert process.returncode == 2
    assert out == ""
    assert err == "repsam: error: a.yaml: unknown key speed\n"


def test_a_path_that_cannot_be_written_is_one_line(add_verb, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    add_verb("keep", "def run(args):\n    open('file/result', 'w')\n")
    with start(tmp_path, "keep") as process:
        _, errors = process.communicate()
    assert process.returncode == 2
    assert errors == "repsam: error: file/result: Not a directory\n"


def test_any_other_error_keeps_its_traceback(tmp_path, add_verb):
    add_verb("crash", "def run(args):\n    return 1 / 0\n")
    process = start(tmp_path, "crash")
    _, err = process.communicate()
    assert process.returncode == 1
    assert "ZeroDivisionError" in err


def test_ctrl_c_exits_with_130(tmp_path, add_verb):
    add_verb(
        "wait",
        """
        import time

        def run(args):
            print("ready", flush=True)
            time.sleep(60)
            return 0
        """,
    )
    process = start(tmp_path, "wait")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert (err, process.returncode) == ("repsam: interrupted\n", 130)


def test_a_closed_pipe_is_quiet(tmp_path, add_verb):
    add_verb("talk", "def run(args):\n    print('line\\n' * 100_000)\n    return 0\n")
    process = start(tmp_path, "talk")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 141
    assert err == ""


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"repsam {repsam_ros.__version__}\n"


def test_an_unknown_verb_lists_what_exists(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["no-such-verb"])
    err = capsys.readouterr().err
    assert "no-such-verb" in err
    assert all(name in err for name in cli.verb_names())


def test_no_verb_shows_the_verbs(capsys):
    assert cli.main([]) == 2
    err = capsys.readouterr().err
    assert "usage: repsam VERB" in err
    assert all(name in err for name in cli.verb_names())


def test_a_missing_optional_package_is_one_line_with_its_extra(add_verb, tmp_path: Path) -> None:
    add_verb("adapt", "def run(args):\n    raise ModuleNotFoundError(name='peft.tuners')\n")
    process = start(tmp_path, "adapt")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.strip() == (
        "repsam: error: repsam adapt needs the package peft: pip install 'repsam_ros[adaptation]'"
    )


def test_another_missing_package_is_a_defect_and_stays_loud(add_verb, tmp_path: Path) -> None:
    add_verb("adapt", "def run(args):\n    import no_such_package_at_all\n")
    process = start(tmp_path, "adapt")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" in errors
