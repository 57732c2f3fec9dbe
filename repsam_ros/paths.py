"""Where the package's own configuration and models lie, and how files are written."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from repsam_ros.errors import ConfigError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@cache
def share_dir() -> Path:
    """The folder that holds ``models/``, ``config/`` and ``launch/``.

    A source tree keeps them beside the package; pip and colcon install them to
    ``PREFIX/share/repsam_ros`` (REP-122).
    """
    package = Path(__file__).resolve().parent
    prefixes = [*package.parents, Path(sys.prefix)]
    prefixes += [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    candidates = [package.parent, *(prefix / "share" / "repsam_ros" for prefix in prefixes)]
    for candidate in candidates:
        if (candidate / "models" / "manifest.yaml").is_file():
            return candidate
    raise ConfigError(f"models/manifest.yaml not found beside {package} nor in share/repsam_ros")


def cache_dir() -> Path:
    """Where results that can be made again are kept: ``$XDG_CACHE_HOME/repsam_ros``."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "repsam_ros"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        # Of a write that finds the disk full the system does not say where.
        if error.filename is None and error.errno in _NO_SPACE:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a file of UTF-8 in place of what is there, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def least_recently_used(files: Iterable[Path], most: int) -> list[Path]:
    """All but the ``most`` files that were changed last, the oldest first.

    Files that go meanwhile are left out: another process may clear the same cache.
    """
    used_s = {}
    for path in files:
        with suppress(FileNotFoundError):
            used_s[path] = path.stat().st_mtime
    return sorted(used_s, key=lambda path: used_s[path])[:-most]
