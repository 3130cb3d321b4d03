"""Libraries that only some data sets need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nas.records import RecordError


def optional(module: str, package: str, extra: str = "data") -> Any:
    """Import a module of an extra, by default `data`. Raises RecordError naming the package where it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise RecordError(f"{package} is not installed ({error}): pip install 'cellstack[{extra}]'") from error
