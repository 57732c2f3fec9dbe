"""The course of a training, row by row, and how long it waits for pictures."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from repsam_ros.errors import BackendError
from repsam_ros.paths import write_text

logger = logging.getLogger(__name__)


class TrainingLog:
    """Appends rows to ``metrics.jsonl``, and to event files of TensorBoard where asked.

    Rows of later steps, which a broken run has left, are dropped: each step has one row.
    """

    def __init__(self, out: Path, step: int, tensorboard: bool) -> None:
        """Goes on after ``step``.

        Raises:
            BackendError: TensorBoard is asked for and not installed.
        """
        self._path = out / "metrics.jsonl"
        self._events = _event_files(out / "tensorboard", step) if tensorboard else None
        _drop_rows_after(self._path, step)

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self._events is not None:
            self._events.close()

    def add(self, row: dict[str, float]) -> None:
        """Appends a row; ``step`` is one of its keys."""
        with self._path.open("a") as log:
            log.write(json.dumps(row) + "\n")
        logger.info("%s", row)
        if self._events is not None:
            for name in row.keys() - {"step"}:
                self._events.add_scalar(name, row[name], row["step"])


def _drop_rows_after(path: Path, step: int) -> None:
    if not path.is_file():
        return
    # A killed run may leave half a row, which no line feed ends.
    rows = [row for row in path.read_text().splitlines(keepends=True) if row.endswith("\n")]
    write_text(path, "".join(row for row in rows if json.loads(row)["step"] <= step))


def _event_files(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise BackendError(
            "tensorboard: true needs the package tensorboard; pip install tensorboard"
        ) from error
    return SummaryWriter(str(folder), purge_step=step + 1)


class Waiting:
    """Measures what share of the time is spent inside ``with`` blocks."""

    def __init__(self) -> None:
        self._since_s, self._inside_s = time.monotonic(), 0.0

    def __enter__(self) -> None:
        self._entered_s = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._inside_s += time.monotonic() - self._entered_s

    def share(self) -> float:
        """The share since this was last asked."""
        now_s = time.monotonic()
        share = self._inside_s / max(now_s - self._since_s, 1e-9)
        self._since_s, self._inside_s = now_s, 0.0
        return round(share, 4)
