"""One row for each attempt, and the tables of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import numpy as np
from scipy.spatial.transform import Rotation

from repsam_ros.errors import DatasetError
from repsam_ros.paths import write_text
from repsam_ros.structures import Grasp

Row = TypeVar("Row")
# What stands in the tables has so many decimals: micrometres.
_DIGITS = 6


@dataclass(frozen=True)
class AttemptRow:
    """What is known of one attempt; None where there is no such thing.

    Attributes:
        stratum: Of the configuration.
        scene_seed: The scene was made from it.
        attempt: Number of the attempt in a round of clutter removal, 0 in single shots.
        variant: Of the configuration.
        objects: In the scene before the attempt.
        target_id: The object that is to be lifted.
        family: Of the target.
        material: Of the target, ``opaque`` or ``glass``.
        visible_share: Share of the target's pixels that nothing hides.
        depth_error_m: Median absolute error of the depth that the variant was given, over the
            pixels of the target that have any.
        depth_missing: Share of the target's pixels without depth.
        instances: That the segmenter found in the whole picture.
        mask_iou: Of the instance that the target was taken for and the target's true mask.
        grasps: That the planner offered on that instance.
        x_m: Tool centre point of the grasp in the world frame, with ``y_m`` and ``z_m``.
        qx: Orientation of the grasp frame in the world frame, with ``qy``, ``qz`` and ``qw``.
        width_m: Opening of the hand before it closes.
        score: The planner's.
        outcome: One of ``execution.Outcome``.
        lifted_m: How far the target came up.
        held_s: How long it was held then.
        lifted: Ids of all objects that came up, with blanks between; empty without any.
    """

    stratum: str
    scene_seed: int
    attempt: int
    variant: str
    objects: int
    target_id: int | None
    family: str | None
    material: str | None
    visible_share: float | None
    depth_error_m: float | None
    depth_missing: float | None
    instances: int
    mask_iou: float | None
    grasps: int
    x_m: float | None
    y_m: float | None
    z_m: float | None
    qx: float | None
    qy: float | None
    qz: float | None
    qw: float | None
    width_m: float | None
    score: float | None
    outcome: str
    lifted_m: float | None
    held_s: float | None
    lifted: str


@dataclass(frozen=True)
class WrittenGrasp:
    """A grasp in the world frame as a row holds it, and as it is executed; see `AttemptRow`."""

    x_m: float
    y_m: float
    z_m: float
    qx: float
    qy: float
    qz: float
    qw: float
    width_m: float
    score: float

    @classmethod
    def of(cls, grasp: Grasp) -> WrittenGrasp:
        """A grasp of the world frame."""
        turn = Rotation.from_matrix(grasp.rotation).as_quat()
        turn *= -1.0 if turn[3] < 0 else 1.0
        return cls(*map(rounded, (*grasp.position_m, *turn, grasp.width_m, grasp.score)))

    @classmethod
    def of_row(cls, row: AttemptRow) -> WrittenGrasp | None:
        """The grasp of a row that has one."""
        if row.x_m is None:
            return None
        return cls(*(getattr(row, item.name) for item in fields(cls)))

    def grasp(self) -> Grasp:
        """It in the world frame, of no instance."""
        return Grasp(
            np.array([self.x_m, self.y_m, self.z_m]),
            Rotation.from_quat([self.qx, self.qy, self.qz, self.qw]).as_matrix(),
            self.width_m,
            self.score,
            0,
        )


@dataclass(frozen=True)
class AttemptTimes:
    """How long the parts of an attempt took on the machine that ran it, seconds.

    Attributes:
        sense_s: Rendering and sensor model; one picture serves all variants of an attempt.
        segment_s: From the picture to instances.
        plan_s: From instances over the cloud to grasps.
        execute_s: The physics; None where nothing was executed.
    """

    stratum: str
    scene_seed: int
    attempt: int
    variant: str
    sense_s: float
    segment_s: float
    plan_s: float
    execute_s: float | None


def rounded(value: float) -> float:
    """As tables hold it."""
    return round(float(value), _DIGITS) + 0.0  # no negative zero


def write_rows(path: Path, rows: Sequence[Any], kind: type[Any]) -> None:
    """Writes dataclasses of one kind as CSV; None is an empty cell."""
    text = io.StringIO()
    names = [item.name for item in fields(kind)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(row, name) for name in names] for row in rows)
    write_text(path, text.getvalue())


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """Reads what :func:`write_rows` wrote.

    Raises:
        DatasetError: The file is missing or holds another table.
    """
    hints = get_type_hints(kind)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames != list(hints):
                raise DatasetError(f"{path}: expected the columns {', '.join(hints)}")
            return [
                kind(**{name: _value(cell, hints[name]) for name, cell in line.items()})
                for line in reader
            ]
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError, csv.Error) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{path}: not a table of attempts: {error}") from error


def _value(cell: str, hint: Any) -> Any:
    """A cell as the type of its column says."""
    kinds = getattr(hint, "__args__", (hint,))
    if cell == "" and type(None) in kinds:
        return None
    return next(kind for kind in kinds if kind is not type(None))(cell)
