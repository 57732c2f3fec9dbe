"""Runs of an experiment that goes on where it stopped: one file each, written when it is done."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from repsam_ros.config import differences, load_json
from repsam_ros.errors import ConfigError, DivergedError, shortened
from repsam_ros.paths import write_text
from repsam_ros.progress import track

Job = TypeVar("Job")
Result = TypeVar("Result")
Item = TypeVar("Item")
Made = TypeVar("Made")

logger = logging.getLogger(__name__)


class Spread(Protocol):
    """Calls a function with many items, here or elsewhere; results come as they are done."""

    def __call__(
        self, function: Callable[[Item], Made], items: Iterable[Item], /
    ) -> Generator[Made, None, None]: ...


def finish_runs(
    jobs: Mapping[Path, Job],
    run: Callable[[Job], Result],
    spread: Spread,
    *,
    kind: type[Result],
    check: Callable[[Path, Result, Job], None],
    what: str,
) -> dict[Path, Result]:
    """Results of all runs but those that diverged, in order; what is there is not done again.

    Args:
        jobs: By the file that keeps the result.
        run: Travels to other processes, and so do jobs and results.
        kind: Dataclass of the results.
        check: Refuses a kept result of another job.
        what: The runs are, for the progress bar.
    """
    done = kept_results(jobs, kind, check)
    left = [(path, job) for path, job in jobs.items() if path not in done]
    if left and done:
        logger.info("%s: %d of %d are there", what, len(done), len(jobs))
    if left:
        with closing(spread(partial(_attempt, run), left)) as results:
            for path, result, reason in track(results, len(left), what):
                if result is None:
                    logger.error("%s diverged and is missing: %s", path.stem, reason)
                else:
                    write_result(path, result)
                    done[path] = result
    return {path: done[path] for path in jobs if path in done}


def kept_results(
    jobs: Mapping[Path, Job], kind: type[Result], check: Callable[[Path, Result, Job], None]
) -> dict[Path, Result]:
    """Results that are there; arguments as of :func:`finish_runs`."""
    done = {path: read_result(kind, path) for path in jobs if path.is_file()}
    for path, kept in done.items():
        check(path, kept, jobs[path])
    return done


class Planned(Protocol):
    """A job or its result, with the plain values of all that the result follows from."""

    @property
    def plan(self) -> dict[str, Any]: ...


def check_plan(path: Path, result: Planned, job: Planned) -> None:
    """Refuses the result of another plan.

    Raises:
        ConfigError: It is one; names the first differences: what follows from another key may
            come before it.
    """
    plan = json.loads(json.dumps(job.plan))
    if changed := list(differences(result.plan, plan)):
        raise ConfigError(f"{path} is the result of another plan, remove it: {shortened(changed)}")


def write_result(path: Path, result: Any) -> None:
    """Writes a dataclass as JSON."""
    write_text(path, json.dumps(asdict(result), allow_nan=False) + "\n")


def read_result(kind: type[Result], path: Path) -> Result:
    """Reads what :func:`write_result` wrote.

    Raises:
        DatasetError: The file is missing, no JSON, or holds unusable values.
        ConfigError: An entry is missing, unknown or of a wrong type.
    """
    return load_json(kind, path, "the result of a run")


def _attempt(
    run: Callable[[Job], Result], job: tuple[Path, Job]
) -> tuple[Path, Result | None, str]:
    path, what = job
    try:
        return path, run(what), ""
    except DivergedError as error:
        return path, None, str(error)
