"""Plug-ins: each a file of its package, and its file name is its name.

Files that begin with an underscore are none.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from repsam_ros.errors import ConfigError


def plugin_names(package: str) -> tuple[str, ...]:
    """The plug-ins of a package, none of which is imported."""
    modules = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return tuple(sorted(m.name for m in modules if not m.name.startswith("_")))


def check_plugin(package: str, what: str, name: str) -> None:
    """Whether there is such a plug-in; none is imported.

    Args:
        what: The plug-ins are, for the message.

    Raises:
        ConfigError: None of that name; the message lists what exists.
    """
    known = plugin_names(package)
    if name not in known:
        raise ConfigError(f"unknown {what} {name!r}; there are: {', '.join(known)}")


def load_plugin(package: str, what: str, name: str) -> ModuleType:
    """The module of a plug-in; for the arguments see :func:`check_plugin`.

    Raises:
        ConfigError: None of that name; the message lists what exists.
        ImportError: It needs a package that is missing.
    """
    check_plugin(package, what, name)
    return importlib.import_module(f"{package}.{name}")
