"""The report, from tables alone."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repsam_ros.errors import DatasetError
from repsam_ros.trials.configuration import TrialsConfig
from repsam_ros.trials.examples import choose_examples
from repsam_ros.trials.execution import Outcome
from repsam_ros.trials.report import write_report
from repsam_ros.trials.rows import AttemptRow, AttemptTimes, write_rows

Make = Callable[..., TrialsConfig]


def any_rows(config: TrialsConfig, scenes: int = 12) -> list[AttemptRow]:
    rng = np.random.default_rng(3)
    ends = [outcome.value for outcome in Outcome]
    rows = []
    for seed in range(1900, 1900 + scenes):
        for variant in config.variants:
            content: dict[str, Any] = {item.name: None for item in fields(AttemptRow)}
            content |= {"stratum": "packed", "scene_seed": seed, "attempt": 0, "objects": 3}
            content |= {"variant": variant.name, "instances": 3, "grasps": 1, "lifted": ""}
            content |= {"material": ("opaque", "glass")[seed % 2], "mask_iou": 0.7, "x_m": 0.1}
            content |= {"outcome": ends[int(rng.integers(len(ends)))], "target_id": 1}
            rows.append(AttemptRow(**content))
    return rows


def write_tables(config: TrialsConfig, rows: list[AttemptRow], out: Path) -> None:
    write_rows(out / "attempts.csv", rows, AttemptRow)
    times = [
        AttemptTimes(r.stratum, r.scene_seed, r.attempt, r.variant, 1.0, 0.5, 0.2, None)
        for r in rows
    ]
    write_rows(out / "times.csv", times, AttemptTimes)


@pytest.mark.parametrize("protocol", ["single_shot", "clutter"])
def test_every_heading_of_results_says_simulated(tiny: Make, tmp_path: Path, protocol: str) -> None:
    config = tiny(protocol=protocol)
    write_tables(config, any_rows(config), tmp_path)
    told = write_report(config, tmp_path)
    markdown = (tmp_path / "report.md").read_text()
    headings = re.findall(r"^#+ (.*)$", markdown, re.M)
    assert len(headings) >= 6
    assert [h for h in headings if "imulated" not in h] == ["What was run"]
    assert told in markdown and told.startswith("Simulated")
    html = (tmp_path / "report.html").read_text()
    for file in re.findall(r'(?:src="|\]\()([^")]+\.svg)', html + markdown):
        ElementTree.parse(tmp_path / file)


def test_every_outcome_of_every_variant_is_counted(tiny: Make, tmp_path: Path) -> None:
    config = tiny()
    rows = any_rows(config)
    write_tables(config, rows, tmp_path)
    write_report(config, tmp_path)
    markdown = (tmp_path / "report.md").read_text()
    table = markdown.split("| all attempts |")[1].split("\n\n")[0]
    heads = [cell.strip() for cell in table.splitlines()[0].split("|") if cell.strip()]
    assert {head.replace(" ", "_") for head in heads} == {outcome.value for outcome in Outcome}
    for line in table.splitlines()[2:]:
        variant, *counts = (cell.strip() for cell in line.strip("| ").split("|"))
        own = [row.outcome for row in rows if row.variant == variant]
        assert [int(count) for count in counts] == [own.count(h.replace(" ", "_")) for h in heads]


def _told(config: TrialsConfig, out: Path) -> str:
    write_tables(config, any_rows(config), out)
    write_report(config, out)
    return (out / "report.md").read_text()


def test_a_page_tells_of_what_was_run_alone(tiny: Make, tmp_path: Path) -> None:
    """Of a primary comparison where there is one, of pictures as they were shared."""
    single, rounds = tiny(), tiny(protocol="clutter", primary=None)
    shots, clutter = _told(single, tmp_path / "shots"), _told(rounds, tmp_path / "clutter")
    assert "primary comparison and its test were fixed" in shots
    assert "primary comparison and its test" not in clutter
    assert "picture serves all variants" in shots
    assert "picture serves all variants" not in clutter


def test_classes_of_masks_that_were_not_tried_say_so(tiny: Make, tmp_path: Path) -> None:
    variants = [{"name": "net", "model": "repsam_tiny"}]
    config = tiny(variants=variants, primary=None, secondary=[], min_iou=0.3)
    told = _told(config, tmp_path)
    assert "With a mask below 0.3 nothing is picked" in told


def test_without_tables_there_is_no_report(tiny: Make, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"attempts\.csv"):
        write_report(tiny(), tmp_path)


def test_examples_are_of_the_variant_it_is_about_and_of_every_end(tiny: Make) -> None:
    config = tiny(examples=1)
    rows = any_rows(config, scenes=40)
    examples = choose_examples(config, rows)
    assert examples == choose_examples(config, rows)
    assert {example.row.outcome for example in examples} == {outcome.value for outcome in Outcome}
    assert {example.row.variant for example in examples} == {"exact"}
    assert len({example.file for example in examples}) == len(examples)
    assert all(example.caption.startswith("Simulated, ") for example in examples)
    assert choose_examples(tiny(examples=0), rows) == []
