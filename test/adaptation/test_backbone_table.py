"""The table in the documentation is what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from repsam_ros.adaptation.backbone_table import backbone_tables

DOCUMENT = Path(__file__).parents[2] / "docs" / "backbones.md"


def test_the_documented_tables_are_those_of_the_code() -> None:
    pytest.importorskip("timm")
    pytest.importorskip("transformers")
    tables = backbone_tables()
    assert all(table in DOCUMENT.read_text() for table in tables.split("\n\n")), tables
