"""Configurations are strict, and say what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repsam_ros.config import apply_overrides, build_config, load_config, read_yaml, to_plain
from repsam_ros.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    rate: float = 1.0
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    count: int = 1
    inner: Inner = field(default_factory=Inner)


@pytest.mark.parametrize("text", ["1e-3", "1.0e-3", "1E-3", "0.001", "+1e-3"])
def test_numbers_are_numbers_however_they_are_written(text: str, tmp_path: Path) -> None:
    assert apply_overrides({}, [f"inner.rate={text}"]) == {"inner": {"rate": 0.001}}
    file = tmp_path / "config.yaml"
    file.write_text(f"inner: {{rate: {text}}}\n")
    assert load_config(Outer, file).inner.rate == 0.001


@pytest.mark.parametrize("text", ["7e9b56a", "e5", "1e", "v1e3"])
def test_what_only_looks_like_a_number_stays_text(text: str) -> None:
    assert apply_overrides({}, [f"name={text}"]) == {"name": text}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_comes_back(value: float) -> None:
    assert apply_overrides({}, [f"rate={value!r}"]) == {"rate": value}


def test_overrides_reach_into_groups_and_leave_the_original_alone() -> None:
    content = {"inner": {"rate": 2.0, "names": ["a"]}}
    changed = apply_overrides(content, ["inner.names=[b, c]", "count=3"])
    assert changed == {"inner": {"rate": 2.0, "names": ["b", "c"]}, "count": 3}
    assert content == {"inner": {"rate": 2.0, "names": ["a"]}}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("count", "expected KEY=VALUE"),
        ("=1", "expected KEY=VALUE"),
        ("count.more=1", "count is not a group"),
        ("count=[1", "not YAML"),
    ],
)
def test_an_unusable_override_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        apply_overrides({"count": 1}, [override])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"inner": {"rat": 1}}, "rat"),
        ({"count": "many"}, "count"),
        ({"inner": {"names": "abc"}}, r"a list of names like \[abc\]"),
    ],
)
def test_an_unknown_key_or_a_wrong_type_is_named(content: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=f"here.*{message}"):
        build_config(Outer, content, "here")


def test_a_configuration_survives_being_written() -> None:
    config = Outer(3, Inner(0.5, ("a", "b")))
    assert build_config(Outer, to_plain(config), "again") == config


@pytest.mark.parametrize("text", ["- 1\n", "a: [1\n"])
def test_a_file_that_is_no_mapping_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        read_yaml(file)
