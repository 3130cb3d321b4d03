"""Versions of this library and of the packages that a run depends on."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path


def versions(names: Sequence[str]) -> dict[str, str]:
    """Return the versions of Python and of the packages `names`, without importing these."""
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


def describe_installation() -> str:
    """Return the installed versions and the folder of this library, one per line."""
    installed = versions(("torch", "ray", "optuna"))
    lines = (f"{name} {version}" for name, version in installed.items())
    return "\n".join([f"cellstack {_version('cellstack')} in {Path(__file__).parents[1]}", *lines])


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
