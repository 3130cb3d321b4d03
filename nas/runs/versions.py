"""Versions: of this library and of those that a run depends on."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import nas


def versions(names: Sequence[str]) -> dict[str, str]:
    """Return the version of Python and of each package, without importing them."""
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


def describe_installation() -> str:
    """Write which versions are installed, and where this library is, a line each."""
    installed = versions(("torch", "ray", "optuna"))
    lines = (f"{name} {version}" for name, version in installed.items())
    return "\n".join([f"cellstack {nas.__version__} in {Path(__file__).parents[1]}", *lines])


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
