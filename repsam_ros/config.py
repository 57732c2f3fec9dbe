"""Strict configuration: frozen dataclasses read from YAML, with ``--set a.b=c`` on top."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import dacite
import yaml

from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.paths import share_dir, write_text

T = TypeVar("T")


class _Loader(yaml.SafeLoader):
    """YAML 1.1 takes 1e-3 for text, as it wants a point in a number; here it is a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: The file is missing, is not YAML or does not hold a mapping.
    """
    try:
        content = yaml.load(path.read_text(), _Loader)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping, got {type(content).__name__}")
    return content


def write_yaml(path: Path, content: Any) -> None:
    """Writes plain values as YAML, whole or not at all; keys keep their order."""
    write_text(path, yaml.safe_dump(content, sort_keys=False))


def apply_overrides(content: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of ``content`` with each ``a.b=c`` of ``overrides`` set; values are read as YAML."""
    result = copy.deepcopy(content)
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set {override}: expected KEY=VALUE")
        *parents, leaf = key.split(".")
        node = result
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ConfigError(f"--set {override}: {parent} is not a group")
        try:
            node[leaf] = yaml.load(value, _Loader)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {override}: value is not YAML") from error
    return result


def build_config(cls: type[T], content: dict[str, Any], source: str) -> T:
    """An instance of the dataclass ``cls`` from plain values.

    Raises:
        ConfigError: Unknown key, missing key or wrong type, named with its path and ``source``.
    """
    rules = dacite.Config(strict=True, cast=[tuple], type_hooks={tuple[str, ...]: _names})
    try:
        return dacite.from_dict(cls, content, rules)
    except dacite.UnexpectedDataError as error:
        keys = ", ".join(sorted(error.keys))
        raise ConfigError(f"{source}: unknown key {keys} in {cls.__name__}") from error
    except dacite.DaciteError as error:
        raise ConfigError(f"{source}: {error}") from error
    except (ConfigError, DatasetError) as error:
        raise type(error)(f"{source}: {error}") from error


def load_json(cls: type[T], path: Path, what: str) -> T:
    """An instance of ``cls`` from the JSON file that a command wrote.

    Args:
        what: The file should hold, for messages.

    Raises:
        DatasetError: The file is missing, no JSON, or holds something else.
        ConfigError: An entry is missing, unknown or of a wrong type.
    """
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise DatasetError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: not {what}")
    return build_config(cls, content, str(path))


def _names(value: Any) -> Any:
    """A word is no list of its letters."""
    if isinstance(value, str):
        raise ConfigError(f"expected a list of names like [{value}], got {value!r}")
    return value


def load_config(cls: type[T], path: Path, overrides: Sequence[str] = ()) -> T:
    """Reads ``path`` into ``cls``; see :func:`build_config` and :func:`apply_overrides`."""
    return build_config(cls, apply_overrides(read_yaml(path), overrides), str(path))


def preset_path(what: str, folder: str, name_or_path: str | Path) -> Path:
    """``config/FOLDER/NAME.yaml`` of the package, or a YAML file of the user's.

    Raises:
        ConfigError: No ``what`` of that name; lists those that there are.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        return path
    presets = {file.stem: file for file in (share_dir() / "config" / folder).glob("*.yaml")}
    if str(name_or_path) not in presets:
        known = ", ".join(sorted(presets))
        raise ConfigError(f"unknown {what} {str(name_or_path)!r}; there are: {known}")
    return presets[str(name_or_path)]


def check_name(what: str, name: str) -> None:
    """Raises a ConfigError unless files can be called after ``name``."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ConfigError(f"{what} {name!r}: only letters, digits, underscores and hyphens")


def to_plain(config: Any) -> dict[str, Any]:
    """Plain YAML/JSON values of a config dataclass, defaults included."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, tuple | list):
            return [plain(item) for item in value]
        return str(value) if isinstance(value, Path) else value

    result = plain(dataclasses.asdict(config))
    assert isinstance(result, dict)
    return result


def differences(stored: Any, wanted: Any, key: str = "") -> Iterator[str]:
    """One line for each key of plain values whose value differs."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for name in sorted(stored.keys() | wanted.keys()):
            path = f"{key}.{name}" if key else name
            yield from differences(stored.get(name), wanted.get(name), path)
    elif stored != wanted:
        yield f"{key} is {stored} there, {wanted} here"
