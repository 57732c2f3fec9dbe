"""Files that ``models/manifest.yaml`` lists, found by name and verified by hash."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repsam_ros.config import read_yaml
from repsam_ros.errors import CheckpointError
from repsam_ros.paths import file_sha256, share_dir


def listed_files(section: str = "models") -> dict[str, Any]:
    """Entries of a section of the manifest by name, none where there is no such section."""
    files: dict[str, Any] = read_yaml(share_dir() / "models" / "manifest.yaml").get(section, {})
    return files


def verified_file(entry: Mapping[str, Any]) -> tuple[Path, str]:
    """Path and SHA-256 of the file of an entry.

    Raises:
        CheckpointError: The file is missing (the message says where to fetch it) or its hash is
            not the manifest's.
    """
    path = share_dir() / "models" / entry["file"]
    if not path.is_file():
        source = f"; fetch it from {entry['url']}" if "url" in entry else ""
        raise CheckpointError(f"{path} is missing{source}")
    digest = file_sha256(path)
    if digest != entry["sha256"]:
        raise CheckpointError(f"{path}: sha256 is {digest}, the manifest says {entry['sha256']}")
    return path, digest
